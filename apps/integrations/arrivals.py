"""What came in, read: CloudEvents in their three forms, and the plain JSON of webhooks. Pure; nothing is stored here."""

import base64
import binascii
import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http.request import HttpHeaders
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from apps.integrations import bodies
from apps.integrations.bodies import Unreadable
from apps.integrations.masking import storable
from apps.integrations.traces import Trace, current, trace_of

AT_ONCE = 1000
"""So many events come in one request at most."""
LONGEST_ID, LONGEST_WORD = 300, 200
STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
MILLISECONDS_FROM = 1e11
"""A number of a time above that counts milliseconds."""

Errors = Mapping[str, Sequence[str]]


class WrongType(Exception):
    """The content type is none that is read here."""


class Misshapen(Unreadable):
    """It is JSON and not an event: `errors` by field, `index` of which of many."""

    def __init__(self, message: str, errors: Errors | None = None, index: int | None = None) -> None:
        super().__init__(message)
        self.errors, self.index = dict(errors or {}), index


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event as its sender told it. `source` is what a CloudEvent names so."""

    event_id: str
    event_type: str
    data: Any
    body: bytes
    trace: Trace
    subject: str = ""
    occurred_at: dt.datetime | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as far as reading it goes. Header names are in lower case."""

    content_type: str
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, told: Mapping[str, Any], body: bytes) -> "Request":
        """Return a request, of what the web server tells of it (PEP 3333)."""
        named = ((HttpHeaders.parse_header_name(word), value) for word, value in told.items())
        headers = {name.lower(): value for name, value in named if name}
        return cls(headers.get("content-type", ""), headers, body)

    @property
    def kind(self) -> str:
        """The content type without its parameters."""
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def is_json(self) -> bool:
        """Whether it says that it is JSON, in the one encoding that JSON has."""
        charset = self.content_type.lower().partition("charset=")[2].partition(";")[0].strip(' "')
        return (self.kind == "application/json" or self.kind.endswith("+json")) and charset in ("", "utf-8", "utf8")

    @property
    def trace(self) -> Trace:
        """The trace that its headers name, else that of the request, or a new one."""
        told = self.headers.get("traceparent") or current().traceparent
        return trace_of(told, self.headers.get("tracestate"))

    def json(self) -> Any:
        """Return its body; `WrongType` where it is not said to be JSON, `Unreadable` where it is not."""
        if not self.is_json:
            raise WrongType(_("Send JSON, with the header Content-Type: application/json."))
        return bodies.read(self.body)


def is_cloud_event(request: Request) -> bool:
    """Say whether a request carries CloudEvents, in whichever form."""
    return request.kind in (STRUCTURED, BATCH) or "ce-specversion" in request.headers


def cloud_events(request: Request) -> list[Arrival]:
    """Read the CloudEvents 1.0 of a request: structured, a batch, or binary. Raises `Misshapen` and what `json` raises."""
    if request.kind == BATCH:
        return _batch(request)
    if request.kind == STRUCTURED:
        return [_structured(request.json(), request.body, request.trace)]
    return [_binary(request)]


def _batch(request: Request) -> list[Arrival]:
    told = request.json()
    if not isinstance(told, list) or not 1 <= len(told) <= AT_ONCE:
        raise Misshapen(_("A batch is a list of 1 to %(most)s events.") % {"most": AT_ONCE})
    trace, arrivals = request.trace, []
    for index, one in enumerate(told):
        try:
            arrivals.append(_structured(one, bodies.written(one), trace))
        except Misshapen as error:
            raise in_list(error, index) from error
    return arrivals


def in_list(error: Misshapen, index: int) -> Misshapen:
    """Return the refusal of one of many events, with its index."""
    words = _("Event %(index)s of the list: %(why)s Nothing was taken in.") % {"index": index, "why": error}
    return Misshapen(words, {f"{index}.{field}": said for field, said in error.errors.items()}, index)


def _structured(told: Any, body: bytes, trace: Trace) -> Arrival:
    if not isinstance(told, dict):
        raise Misshapen(_("A CloudEvent is a JSON object."))
    if told.get("traceparent"):
        trace = trace_of(told["traceparent"], told.get("tracestate"))
    return _cloud_event(told, _cloud_data(told), body, trace)


def _cloud_data(told: Mapping[str, Any]) -> Any:
    """Return the data, read where it is JSON in base64; other bytes stay as they were sent."""
    if "data_base64" not in told:
        return told.get("data")
    try:
        raw = base64.b64decode(told["data_base64"], validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise Misshapen(_("data_base64 is not base64."), {"data_base64": [_("is not base64")]}) from error
    kind = str(told.get("datacontenttype") or "application/json")
    inner = Request(kind, {}, raw)
    return bodies.read(raw) if inner.is_json else {"data_base64": told["data_base64"]}


def _binary(request: Request) -> Arrival:
    told = {name[3:]: unquote(value) for name, value in request.headers.items() if name.startswith("ce-")}
    data = request.json() if request.body else None
    trace = trace_of(told["traceparent"], told.get("tracestate")) if told.get("traceparent") else request.trace
    return _cloud_event(told, data, request.body, trace)


def _cloud_event(told: Mapping[str, Any], data: Any, body: bytes, trace: Trace) -> Arrival:
    errors: dict[str, list[str]] = {}
    if told.get("specversion") != "1.0":
        errors["specversion"] = [_("is not 1.0")]
    needed = {"id": LONGEST_ID, "source": LONGEST_ID, "type": LONGEST_WORD}
    for name, longest in needed.items():
        if not _is_text(told.get(name), longest):
            errors[name] = [_("is needed: a text of 1 to %(most)s characters") % {"most": longest}]
    if told.get("subject") is not None and not _is_text(told["subject"], LONGEST_WORD):
        errors["subject"] = [_("is a text of 1 to %(most)s characters") % {"most": LONGEST_WORD}]
    occurred_at = moment(told.get("time"))
    if told.get("time") is not None and (occurred_at is None or not isinstance(told["time"], str)):
        errors["time"] = [_("is no moment such as 2026-01-31T18:00:00Z")]
    if errors:
        raise _misshapen(errors)
    return Arrival(
        event_id=told["id"],
        event_type=told["type"],
        data=data,
        body=body,
        trace=trace,
        subject=told.get("subject") or "",
        occurred_at=occurred_at,
        source=told["source"],
    )


def _misshapen(errors: Errors) -> Misshapen:
    return Misshapen("; ".join(f"{field}: {', '.join(said)}" for field, said in errors.items()) + ".", errors)


def _is_text(value: Any, longest: int) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= longest and storable(value) == value


def webhook(scheme: str, places: Mapping[str, str], request: Request) -> Arrival:
    """Read the one event of a webhook, by what its scheme says of ids, types and times, and by `places` before that."""
    told = request.json()
    found = _found(scheme, request.headers, told)
    found |= {word: at(told, place) for word, place in places.items() if at(told, place) is not None}
    return Arrival(
        event_id=_word(found.get("id"), "id", LONGEST_ID) or fingerprint(request.body),
        event_type=_word(found.get("type"), "type", LONGEST_WORD) or "unknown",
        data=told["data"] if scheme == "standard" and _is_envelope(told) else told,
        body=request.body,
        trace=request.trace,
        subject=_word(found.get("subject"), "subject", LONGEST_WORD),
        occurred_at=moment(found.get("time")),
    )


def _is_envelope(told: Any) -> bool:
    """Say whether a body is built as Standard Webhooks has it: what is told stands under `data`."""
    return isinstance(told, dict) and {"type", "data"} <= set(told)


def fingerprint(body: bytes) -> str:
    """Return what tells one body from another, for senders that name no id: the same bytes again are a duplicate."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def at(data: Any, place: str) -> Any:
    """Return what stands at a place such as `deal.stage.id`; None where there is nothing."""
    for name in place.split("."):
        data = data.get(name) if isinstance(data, dict) else None
    return data


def _found(scheme: str, headers: Mapping[str, str], data: Any) -> dict[str, Any]:
    match scheme:
        case "standard":
            return {"id": headers.get("webhook-id"), "type": at(data, "type"), "time": at(data, "timestamp")}
        case "chatwoot":
            return _chatwoot(headers, data)
    types = (headers.get("x-event-type"), at(data, "event_type"), at(data, "type"), at(data, "event"))
    times = (at(data, "occurred_at"), at(data, "timestamp"), headers.get("x-timestamp"))
    return {
        "id": headers.get("x-event-id") or at(data, "event_id"),
        "type": next((word for word in types if isinstance(word, str) and word), None),
        "subject": at(data, "subject"),
        "time": next((told for told in times if told is not None), None),
    }


def _chatwoot(headers: Mapping[str, str], data: Any) -> dict[str, Any]:
    """Messages stand at the root with their own id; of a conversation or a contact the id at the root is its own."""
    kind, key = str(at(data, "event") or ""), at(data, "id")
    noun, _underline, what = kind.partition("_")
    made = at(data, "created_at") if what == "created" else at(data, "updated_at")
    return {
        "id": headers.get("x-chatwoot-delivery"),
        "type": kind,
        "subject": f"{noun}:{key}" if noun and isinstance(key, int | str) else None,
        "time": made if made is not None else headers.get("x-chatwoot-timestamp"),
    }


def _word(value: Any, name: str, longest: int) -> str:
    if value is None or isinstance(value, dict | list | bool):
        return ""
    text = storable(str(value)).strip()
    if len(text) > longest:
        raise Misshapen(_("Its %(name)s is longer than %(most)s characters.") % {"name": name, "most": longest})
    return text


def moment(told: Any) -> dt.datetime | None:
    """Return the moment that a text or a number says: ISO 8601, or seconds or milliseconds since 1970.

    A text without a zone is meant as the operators' clocks show it (contracts §2). None where it says none.
    """
    try:
        if isinstance(told, bool) or told is None:
            return None
        if isinstance(told, int | float) or str(told).isdecimal():
            number = float(told)
            return dt.datetime.fromtimestamp(number / 1000 if number > MILLISECONDS_FROM else number, dt.UTC)
        found = parse_datetime(str(told))
        if found is None:
            return None
        return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(settings.OPS_TIME_ZONE))).astimezone(dt.UTC)
    except (ValueError, OverflowError, OSError):
        return None
