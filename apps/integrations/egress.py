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
from apps.integrations.engine import Engine, Transfer
from apps.integrations.outcome import EgressRefused, Unanswered

SLICE_SECONDS = 0.01
"""How long the engine sleeps at most while names are being looked up."""

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

    @property
    def in_flight(self) -> int:
        """How many calls have begun and were not handed back."""
        return self._engine.in_flight + len(self._waiting) + len(self._refused)

    def start(self, tag: Hashable, request: requests.Request, policy: Policy) -> None:
        """Begin a call; `wait` will hand back its tag."""
        try:
            call = _Call(tag, request, policy)
        except EgressRefused as refusal:
            self._refused.append((tag, refusal))
        else:
            self._waiting += [] if self._dialled(call) else [call]

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
            wait_for_any([self._names.find(call.host) for call in self._waiting], min(left, 0.1), FIRST_COMPLETED)
        return min(left, SLICE_SECONDS)

    def _dialled(self, call: "_Call") -> bool:
        """Hand a call to the engine once its name is known; answer false while it is not."""
        found = self._names.find(call.host)
        if not found.done() and time.monotonic() < call.expires:
            return False
        try:
            self._engine.start(call.tag, call.transfer(_addresses(call.host, found)))
        except (Unanswered, EgressRefused) as error:
            self._refused.append((call.tag, error))
        return True


class _Call:
    """A request that may be made, as far as can be told before its name is looked up."""

    __slots__ = ("_body", "_headers", "_method", "_policy", "_url", "expires", "host", "port", "tag")

    def __init__(self, tag: Hashable, request: requests.Request, policy: Policy) -> None:
        self.tag, self._policy = tag, policy
        self._method, self._url, self._headers, self._body = _prepared(request)
        parts = URL.fullmatch(self._url)
        if parts is None:
            raise EgressRefused(
                _("This is no address that can be called; it needs http(s)://host/path in plain ASCII.")
            )
        self.host = parts["host"].strip("[]")
        self.port = _port(parts)
        self.expires = time.monotonic() + policy.connect_seconds
        if self.port not in policy.ports:
            raise EgressRefused(
                _("Port %(port)s of %(host)s is not among the ports this service may use.") % self._words()
            )

    def transfer(self, addresses: list[str]) -> Transfer:
        """Pin the call to the addresses of its name; raise `EgressRefused` where one of them may not be called."""
        policy = self._policy
        allowed = partial(may_dial, networks=policy.networks)
        for address in addresses:
            if not allowed(address):
                raise EgressRefused(
                    _(
                        "%(host)s is at %(address)s, which is no public address; open its network for this service first."
                    )
                    % (self._words() | {"address": address})
                )
        return Transfer(
            method=self._method,
            url=self._url,
            headers=self._headers,
            body=self._body,
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
        return request.method.upper(), request.url, _lines(headers, body), body
    except (ValueError, TypeError) as error:  # those of `requests` are ValueErrors
        raise EgressRefused(_("The request could not be made: %s") % error) from error


def _body(request: requests.Request) -> tuple[bytes | None, str]:
    data = request.data
    if request.json is not None and not data:
        return STRICT.encode(request.json).encode(), "application/json"
    if isinstance(data, bytes | str):
        return (data.encode() if isinstance(data, str) else data), ""
    return (urlencode(data, doseq=True).encode(), "application/x-www-form-urlencoded") if data else (None, "")


def _lines(headers: Mapping[str, str], body: bytes | None) -> list[str]:
    lines = ["Expect:"]
    if body is not None and not any(name.lower() == "content-type" for name in headers):
        lines.append("Content-Type:")  # libcurl would call it a form
    for name, value in headers.items():
        line = f"{name}: {value}" if value else f"{name};"
        if not HEADER.fullmatch(line):
            raise ValueError(_("the header %s holds what no header may") % name)
        lines.append(line)
    return lines
