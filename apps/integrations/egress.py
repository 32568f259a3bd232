"""The door out: every request of ours to the outside passes here, under one policy."""

import json
import re
import time
from collections.abc import Hashable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future
from concurrent.futures import wait as wait_for_any
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlencode

import requests
from django.utils.translation import gettext as _

from apps.integrations.addresses import Names, Network, may_dial
from apps.integrations.connectors.shape import Answer
from apps.integrations.engine import Engine, Route, Transfer
from apps.integrations.outcome import EgressRefused, Unanswered

SLICE_SECONDS = 0.01
"""How long the engine sleeps at most while names are being looked up."""
TARGETS_KEPT = 256

# Nothing that two readers of addresses could read in two ways: no user, no encoded host, no backslash, no blanks.
URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>\d{1,5}))?(?:[/?][!-~]*)?"
)
STRICT = json.JSONEncoder(allow_nan=False)
HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+[:;][ -~\t]*")


@dataclass(frozen=True, slots=True)
class Policy:
    """What a service's calls may reach and use. `networks` are private ranges that were opened explicitly."""

    networks: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset({80, 443})
    connect_seconds: float = 5.0
    deadline_seconds: float = 30.0
    max_bytes: int = 5 * 1024 * 1024


def send(request: requests.Request, policy: Policy, names: Names | None = None) -> requests.Response:
    """Make one call; raise `Unanswered` or `EgressRefused` where no whole answer came."""
    calls = Calls(names)
    try:
        calls.start(request, request, policy)
        [(_tag, answer)] = calls.wait(float("inf"))
    finally:
        calls.close()
    if isinstance(answer, Exception):
        raise answer
    return answer


class Calls:
    """Many calls in flight, from the one thread that made this: checked, their names looked up, given to the engine."""

    def __init__(self, names: Names | None = None) -> None:
        self._names = names or Names()
        self._engine = Engine()
        self._waiting: list[_Call] = []
        self._refused: list[tuple[Hashable, Answer]] = []
        self._targets: dict[str, _Target] = {}

    @property
    def in_flight(self) -> int:
        """How many calls have begun and were not handed back."""
        return self._engine.in_flight + len(self._waiting) + len(self._refused)

    def start(self, tag: Hashable, request: requests.Request, policy: Policy) -> None:
        """Begin a call; `wait` will hand back its tag."""
        try:
            method, url, headers, body = _prepared(request)
            call = _Call(tag, self._target(url, policy), method, headers, body)
        except EgressRefused as refusal:
            self._refused.append((tag, refusal))
        else:
            self._waiting += [] if self._dialled(call) else [call]

    def _target(self, url: str, policy: Policy) -> "_Target":
        """Return the target at an address; most calls go to a few of them, each read and checked once."""
        target = self._targets.get(url)
        if target is None or target.policy is not policy:
            if len(self._targets) >= TARGETS_KEPT:
                self._targets.clear()
            target = self._targets[url] = _Target(url, policy)
        return target

    def wait(self, timeout: float) -> list[tuple[Hashable, Answer]]:
        """Return the calls that ended, after at most `timeout` seconds; none sooner only where none are in flight."""
        ends = time.monotonic() + timeout
        while True:
            self._waiting = [call for call in self._waiting if not self._dialled(call)]
            answers, self._refused = self._refused, []
            answers += self._engine.wait(0 if answers else self._patience(ends))
            if answers or not self.in_flight or time.monotonic() >= ends:
                return answers

    def close(self) -> None:
        """Break off what is in flight and close all connections."""
        self._engine.close()

    def _patience(self, ends: float) -> float:
        left = min(max(ends - time.monotonic(), 0), 60)
        if not self._waiting:
            return left
        if not self._engine.in_flight:
            looked_for = [self._names.find(call.target.host) for call in self._waiting]
            wait_for_any(looked_for, min(left, 0.1), FIRST_COMPLETED)
        return min(left, SLICE_SECONDS)

    def _dialled(self, call: "_Call") -> bool:
        """Hand a call to the engine once its name is known; answer false while it is not."""
        target = call.target
        found = self._names.find(target.host)
        if found is not target.found and not found.done() and time.monotonic() < call.expires:
            return False
        try:
            self._engine.start(call.tag, Transfer(target.route(found), call.method, call.headers, call.body))
        except (Unanswered, EgressRefused) as error:
            self._refused.append((call.tag, error))
        return True


class _Call:
    """A request that may be made, as far as can be told before its name is looked up."""

    __slots__ = ("body", "expires", "headers", "method", "tag", "target")

    def __init__(self, tag: Hashable, target: "_Target", method: str, headers: list[str], body: bytes | None) -> None:
        self.tag, self.target, self.method, self.headers, self.body = tag, target, method, headers, body
        self.expires = time.monotonic() + target.policy.connect_seconds


class _Target:
    """An address that calls go to under a policy. Raises `EgressRefused` where its text alone says that none may."""

    def __init__(self, url: str, policy: Policy) -> None:
        parts = URL.fullmatch(url)
        if parts is None:
            raise EgressRefused(
                _("This is no address that can be called; it needs http(s)://host/path in plain ASCII.")
            )
        self.url, self.policy = url, policy
        self.host, self.port = parts["host"].strip("[]"), _port(parts)
        self.found: Future[list[str]] | None = None
        """What its route was made by: a name that was looked up anew makes a new route."""
        if self.port not in policy.ports:
            raise EgressRefused(
                _("Port %(port)s of %(host)s is not among the ports this service may use.") % self._words()
            )

    def route(self, found: Future[list[str]]) -> Route:
        """Pin calls to the addresses of the name; raise `EgressRefused` where one of them may not be called."""
        if self.found is not found:
            self._route = self._route_to(_addresses(self.host, found))
            self.found = found
        return self._route

    def _route_to(self, addresses: list[str]) -> Route:
        policy = self.policy
        allowed = partial(may_dial, networks=policy.networks)
        for address in addresses:
            if not allowed(address):
                raise EgressRefused(
                    _(
                        "%(host)s is at %(address)s, which is no public address; open its network for this service first."
                    )
                    % (self._words() | {"address": address})
                )
        return Route(
            url=self.url,
            pin=f"{self.host}:{self.port}:{','.join(_bracketed(a) for a in addresses)}" if ":" not in self.host else "",
            may_dial=allowed,
            connect_seconds=policy.connect_seconds,
            deadline_seconds=policy.deadline_seconds,
            max_bytes=policy.max_bytes,
        )

    def _words(self) -> dict[str, object]:
        return {"host": self.host, "port": self.port}


def _port(parts: re.Match[str]) -> int:
    return int(parts["port"] or (443 if parts["scheme"] == "https" else 80))


def _addresses(host: str, found: Future[list[str]]) -> list[str]:
    if not found.done():
        raise Unanswered(False, _("The name %s was not found in time.") % host)
    try:
        return found.result()
    except (OSError, UnicodeError) as error:
        raise Unanswered(
            False, _("The name %(host)s was not found: %(error)s") % {"host": host, "error": error}
        ) from None


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _prepared(request: requests.Request) -> tuple[str, str, list[str], bytes | None]:
    """Return method, URL, header lines and body. `requests` itself prepares only what is rare: it takes 50 µs."""
    try:
        if request.params or request.files or request.auth or request.cookies:
            prepared = request.prepare()
            body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
            return str(prepared.method), str(prepared.url), _lines(prepared.headers, body), body
        body, kind = _body(request)
        headers = {"Content-Type": kind, **request.headers} if kind else request.headers
        return request.method.upper(), request.url, _lines(headers, body, bool(kind)), body
    except (ValueError, TypeError) as error:  # those of `requests` are ValueErrors
        raise EgressRefused(_("The request could not be made: %s") % error) from error


def _body(request: requests.Request) -> tuple[bytes | None, str]:
    data = request.data
    if request.json is not None and not data:
        return STRICT.encode(request.json).encode(), "application/json"
    if isinstance(data, bytes | str):
        return (data.encode() if isinstance(data, str) else data), ""
    return (urlencode(data, doseq=True).encode(), "application/x-www-form-urlencoded") if data else (None, "")


def _lines(headers: Mapping[str, str], body: bytes | None, typed: bool = False) -> list[str]:
    lines = ["Expect:"]
    if body is not None and not typed and not any(name.lower() == "content-type" for name in headers):
        lines.append("Content-Type:")  # libcurl would call it a form
    for name, value in headers.items():
        line = f"{name}: {value}" if value else f"{name};"
        if not HEADER.fullmatch(line):
            raise ValueError(_("the header %s holds what no header may") % name)
        lines.append(line)
    return lines
