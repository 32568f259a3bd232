"""The one engine: libcurl moves the bytes of hundreds of transfers at once, in the one thread that made the engine."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from io import BytesIO
from typing import Any, NamedTuple

import pycurl
import requests
from django.utils.translation import gettext as _
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_encoding_from_headers

from apps.deadletters.failures import FailureClass
from apps.integrations.connectors.shape import Answer
from apps.integrations.masking import masked_url
from apps.integrations.outcome import EgressRefused, Unanswered

CONNECTIONS = 512
"""Open at once, and kept for reuse. `select` does not see file descriptors above 1,023."""
HEADER_BYTES = 64 * 1024
UNTRUSTED = (pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE, pycurl.E_SSL_ISSUER_ERROR)

ALWAYS = {
    pycurl.NOSIGNAL: 1,  # signals and threads do not go together
    pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
    pycurl.FOLLOWLOCATION: 0,
    pycurl.PROXY: "",
    pycurl.NETRC: pycurl.NETRC_IGNORED,
    pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
    pycurl.SSLVERSION: pycurl.SSLVERSION_TLSv1_2,
    pycurl.CAINFO: DEFAULT_CA_BUNDLE_PATH,
    pycurl.ACCEPT_ENCODING: "gzip",
    # A connection idle for longer is not used again: its server may be closing it just as we write to it.
    pycurl.MAXAGE_CONN: 1,
}


@dataclass(frozen=True, eq=False, slots=True)
class Route:
    """Where calls go and how long they may take, found and checked once for many: handles that know it set it no second time.

    `pin` is libcurl's RESOLVE line; `may_dial` has the last word on an address.
    """

    url: str
    pin: str
    may_dial: Callable[[str], bool]
    connect_seconds: float
    deadline_seconds: float
    max_bytes: int


class Transfer(NamedTuple):
    """One request in the engine's terms."""

    route: Route
    method: str
    headers: Sequence[str]
    body: bytes | None


class Answered(requests.Response):
    """An answer whose headers are read once somebody asks for them: most are told by their status alone."""

    def __init__(self, curl: pycurl.Curl, url: str, head: bytes, body: bytes) -> None:
        # Not the base's: it makes a cookie jar and more for each answer, which costs as much as the call.
        self.status_code = curl.getinfo(pycurl.RESPONSE_CODE)
        self.url = url
        self.elapsed = timedelta(seconds=curl.getinfo(pycurl.TOTAL_TIME))
        self.history: list[requests.Response] = []
        self._head = head
        # `requests` reads what has been read already from here.
        self._content, self._content_consumed = body, True

    @property
    def ok(self) -> bool:
        """Whether it is no error, by its status."""
        return self.status_code < 400

    @cached_property
    def _lines(self) -> list[str]:
        # An interim answer may have come before.
        return (b"\n" + self._head).rpartition(b"\nHTTP/")[2].decode("latin-1").splitlines()

    @cached_property
    def reason(self) -> str:  # type: ignore[override] # an attribute there
        """What the far end calls its status."""
        return self._lines[0].partition(" ")[2].partition(" ")[2]

    @cached_property
    def headers(self) -> CaseInsensitiveDict[str]:  # type: ignore[override] # an attribute there
        """The headers, by their names in any case."""
        told = [line.partition(":") for line in self._lines[1:]]
        return CaseInsensitiveDict({name: value.strip() for name, colon, value in told if colon})

    @cached_property
    def encoding(self) -> str | None:  # type: ignore[override] # an attribute there
        """How its text is to be read."""
        named = "charset" in self.headers.get("Content-Type", "")
        return get_encoding_from_headers(self.headers) if named else "utf-8"


class Engine:
    """Transfers in flight over kept connections. Begin them with `start`; `wait` hands back those that ended."""

    def __init__(self) -> None:
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, CONNECTIONS)
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, CONNECTIONS)
        self._idle: list[_Handle] = []
        self._busy: dict[pycurl.Curl, tuple[Hashable, _Handle]] = {}

    @property
    def in_flight(self) -> int:
        """How many transfers have begun and not ended."""
        return len(self._busy)

    def start(self, tag: Hashable, transfer: Transfer) -> None:
        """Begin a transfer; `wait` will hand back its tag."""
        handle = self._idle.pop() if self._idle else _Handle()
        handle.prepare(transfer)
        self._busy[handle.curl] = (tag, handle)
        self._multi.add_handle(handle.curl)

    def wait(self, timeout: float) -> list[tuple[Hashable, Answer]]:
        """Return the transfers that ended, at once where there are some, else after at most `timeout` seconds."""
        self._multi.perform()
        ended = self._ended()
        if not ended and self._busy:
            self._multi.select(self._patience(timeout))
            self._multi.perform()
            ended = self._ended()
        return ended

    def close(self) -> None:
        """Break off what is in flight and close all connections."""
        for curl, (_tag, handle) in self._busy.items():
            self._multi.remove_handle(curl)
            self._idle.append(handle)
        self._busy.clear()
        for handle in self._idle:
            handle.curl.close()
        self._multi.close()

    def _patience(self, timeout: float) -> float:
        """Sleep no longer than libcurl's own timers allow."""
        own = self._multi.timeout()
        return timeout if own < 0 else min(timeout, own / 1000)

    def _ended(self) -> list[tuple[Hashable, Answer]]:
        ended, more = [], 1
        while more:
            more, whole, broken = self._multi.info_read()
            ended += [self._taken(curl) for curl in whole]
            ended += [self._taken(curl, code, reason) for curl, code, reason in broken]
        return ended

    def _taken(self, curl: pycurl.Curl, code: int = 0, reason: str = "") -> tuple[Hashable, Answer]:
        tag, handle = self._busy.pop(curl)
        answer = handle.failure(code, reason) if code else handle.response()
        self._multi.remove_handle(curl)
        self._idle.append(handle)
        return tag, answer


class _Handle:
    """An easy handle of libcurl and what it gathers, used for one transfer after another."""

    def __init__(self) -> None:
        self.curl = pycurl.Curl()
        for option, value in ALWAYS.items():
            self.curl.setopt(option, value)
        self.head = BytesIO()
        # Gathered in C, for a call of ours takes longer than a line; libcurl itself ends what has no end (300 KB).
        self.curl.setopt(pycurl.HEADERFUNCTION, self.head.write)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._take_body)
        self.curl.setopt(pycurl.PREREQFUNCTION, self._before_sending)
        self.route: Route | None = None
        self.kind: tuple[str, bool] | None = None

    def prepare(self, transfer: Transfer) -> None:
        self.transfer = transfer
        self.head.seek(0)
        self.head.truncate()
        self.chunks: list[bytes] = []
        self.size = 0
        self.sent = False
        self.refusal: EgressRefused | None = None
        self._set_route(transfer.route)
        self._set_request(transfer)

    def response(self) -> requests.Response | EgressRefused:
        return self._refused() or Answered(
            self.curl, self.transfer.route.url, self.head.getvalue(), b"".join(self.chunks)
        )

    def failure(self, code: int, reason: str) -> Unanswered | EgressRefused:
        if refusal := self._refused():
            return refusal
        if code in UNTRUSTED:
            return EgressRefused(_("The certificate of %(url)s is not trusted: %(reason)s") % self._words(reason))
        if code == pycurl.E_ABORTED_BY_CALLBACK:
            reason = _("The connection was closed before an answer came")
        return Unanswered(self.sent, reason)

    def _set_route(self, route: Route) -> None:
        if self.route is not route:
            self.route, setopt = route, self.curl.setopt
            setopt(pycurl.URL, route.url)
            setopt(pycurl.RESOLVE, [route.pin] if route.pin else [])
            setopt(pycurl.CONNECTTIMEOUT_MS, int(route.connect_seconds * 1000))
            setopt(pycurl.TIMEOUT_MS, int(route.deadline_seconds * 1000))

    def _set_request(self, transfer: Transfer) -> None:
        kind = (transfer.method, transfer.body is None)
        if self.kind != kind:
            self.kind = kind
            self._set_method(transfer.method, transfer.body is not None)
        self.curl.setopt(pycurl.HTTPHEADER, transfer.headers)
        if transfer.body is not None:
            self.curl.setopt(pycurl.POSTFIELDS, transfer.body)

    def _set_method(self, method: str, has_body: bool) -> None:
        setopt = self.curl.setopt
        setopt(pycurl.POST if has_body else pycurl.HTTPGET, 1)
        if method == "HEAD":
            setopt(pycurl.NOBODY, 1)
        setopt(pycurl.CUSTOMREQUEST, method)

    def _before_sending(self, address: str, *_others: object) -> Any:
        # Asked just before bytes leave. A second time means that libcurl would send the request again over another
        # connection, because a kept one was closed on it: nobody but the row's owner may repeat a call.
        if self.sent:
            return pycurl.PREREQFUNC_ABORT
        if not self.transfer.route.may_dial(address):
            self.refusal = EgressRefused(_("The address %s may not be called.") % address)
            return pycurl.PREREQFUNC_ABORT
        self.sent = True
        return pycurl.PREREQFUNC_OK

    def _take_body(self, chunk: bytes) -> int | None:
        self.chunks.append(chunk)
        self.size += len(chunk)  # as unpacked
        if self.size > self.transfer.route.max_bytes:
            self.refusal = self._too_large(_("it is longer than %s bytes") % self.transfer.route.max_bytes)
            return -1
        return None

    def _refused(self) -> EgressRefused | None:
        if self.head.tell() > HEADER_BYTES:
            return self._too_large(_("its headers are longer than %s bytes") % HEADER_BYTES)
        return self.refusal

    def _too_large(self, reason: str) -> EgressRefused:
        return EgressRefused(
            _("The answer of %(url)s was refused: %(reason)s.") % self._words(reason),
            FailureClass.PERMANENT_DATA,
            sent=True,
        )

    def _words(self, reason: str) -> dict[str, str]:
        return {"url": masked_url(self.transfer.route.url), "reason": reason}
