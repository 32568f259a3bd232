"""Any receiver of JSON over HTTP: the payload is posted as it is, under our idempotency key."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

import requests
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from apps.deadletters.failures import FailureClass
from apps.integrations.connectors.answers import by_status, json_of, sentence
from apps.integrations.connectors.shape import Connector, Doubles, Operation, Order, Reading, Site, Steps
from apps.integrations.outcome import Outcome, Page, Read


class Options(BaseModel):
    """How this receiver is spoken to. `honours_key`: it answers a repeated `Idempotency-Key` without a second effect.

    `changes_path` is where it lists what changed, by a sequence number that only rises.
    """

    model_config = ConfigDict(extra="forbid")

    path: str = ""
    honours_key: bool = False
    probe_path: str = ""
    probe_method: Literal["GET", "HEAD"] = "GET"
    changes_path: str = ""
    changes_size: int = Field(200, ge=1, le=1000)
    changes_overlap: int = Field(20, ge=0)


class Change(BaseModel):
    """A record as it tells of it: `sequence` is the number of its last change."""

    id: str = Field(min_length=1, max_length=200)
    type: str = Field("", max_length=60)
    sequence: int = Field(gt=0, lt=2**63)
    data: dict[str, Any]


class Payload(BaseModel):
    """Anything the receiver takes."""

    model_config = ConfigDict(extra="allow")


def doubles(options: Mapping[str, Any]) -> Doubles:
    """Return what this receiver offers against doubles: its key where it honours one, else nothing."""
    return Doubles.NATIVE_KEY if options.get("honours_key") else Doubles.NONE


def classify(response: requests.Response, repeatable: bool) -> Outcome:
    """Read one answer by its status; its words stand where such services put them."""
    if response.status_code == 409 and repeatable:
        # Under one key this says that the first call is still at work; a later repeat is given its answer.
        return Outcome(FailureClass.TRANSIENT, sentence(response))
    return by_status(response, repeatable, "" if response.ok else _said(response))


def post(order: Order) -> Steps:
    """Post the payload."""
    url = order.site.at(order.site.options.get("path", ""))
    headers = _headers(order.site) | {"Idempotency-Key": order.key}
    response = yield requests.Request("POST", url, headers=headers, json=order.payload)
    outcome = classify(response, doubles(order.site.options).repeatable)
    return _taken(response) if outcome.succeeded else outcome


def probe(site: Site) -> Steps:
    """Make the configured harmless call."""
    options = Options(**site.options)
    response = yield requests.Request(options.probe_method, site.at(options.probe_path), headers=_headers(site))
    return classify(response, True)


def changes(site: Site, position: Mapping[str, Any]) -> Steps:
    """Read what changed behind a sequence number. A list that is not in its order is refused: some would be left out."""
    options, after = Options(**site.options), int(position.get("after", 0))
    words = {"after": str(after), "limit": str(options.changes_size)}
    response = yield requests.Request("GET", _changes_url(site), headers=_headers(site), params=words)
    outcome = classify(response, True)
    if not outcome.succeeded:
        return outcome
    body = json_of(response)
    rows = body.get("data") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        return Outcome(FailureClass.UNKNOWN, gettext("Answered %s, and no list of changes.") % response.status_code)
    records = [_change(row) for row in rows]
    numbers = [record.revision for record in records if record.revision]
    highest, last = max(numbers, default=after), len(rows) < options.changes_size
    if numbers != sorted(numbers) or (highest <= after and not last):
        return Outcome(
            FailureClass.CONFIG, gettext("The changes are not in the order of their number: none was taken.")
        )
    mark = {"after": max(after, highest)}
    return Outcome(page=Page(records, None if last else mark, mark))


def change(site: Site, id: str) -> Steps:
    """Read one record by its id."""
    response = yield requests.Request("GET", f"{_changes_url(site)}/{quote(id, safe='')}", headers=_headers(site))
    if response.status_code == 404:
        return Outcome(page=Page([], None))
    outcome = classify(response, True)
    return replace(outcome, page=Page([_change(json_of(response))], None)) if outcome.succeeded else outcome


def begin(watermark: Mapping[str, Any], options: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Begin a little before the watermark: a change with a lower number may have become visible later."""
    return {"after": max(int(watermark.get("after", 0)) - Options(**options).changes_overlap, 0)}


def since(moment: datetime, lowest: int | None, options: Mapping[str, Any], now: datetime) -> dict[str, Any] | None:
    """Begin at the lowest number that was seen since then; nothing to read again where none was."""
    return None if lowest is None else {"after": max(lowest - 1, 0)}


def _changes_url(site: Site) -> str:
    return site.at(site.options.get("changes_path", ""))


def _change(row: object) -> Read:
    """Read a record; what is wrong with it stands beside it, and stops no other."""
    told = row if isinstance(row, dict) else {"": row}
    number = told.get("sequence")
    revision = number if isinstance(number, int) and 0 < number < 2**63 else 0
    try:
        found = Change.model_validate(told)
    except ValidationError as error:
        errors = {".".join(map(str, one["loc"])): [one["msg"]] for one in error.errors(include_url=False)}
        return Read(str(told.get("id") or f"?{revision}")[:200], told, revision=revision, errors=errors)
    return Read(found.id, told, {"type": found.type, **found.data}, revision)


def _said(response: requests.Response) -> str:
    body = json_of(response)
    words = [body.get(name) for name in ("detail", "message", "error", "title")] if isinstance(body, dict) else []
    return next((word for word in words if isinstance(word, str) and word), "")


def _headers(site: Site) -> dict[str, str]:
    token = site.credentials.get("token")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _taken(response: requests.Response) -> Outcome:
    body = json_of(response)
    result = body if isinstance(body, dict) else None
    return Outcome(remote_id=str((result or {}).get("id", "")), result=result)


HTTP = Connector(
    label=_("HTTP"),
    operations={
        "http.post": Operation(
            label=_("Post"),
            help=_("Posts the payload as JSON to the service's address, with our idempotency key."),
            entity="request",
            schema=Payload,
            doubles=doubles,
            perform=post,
        ),
    },
    classify=classify,
    probe=probe,
    credentials={"token": _("Bearer token")},
    optional=frozenset({"token"}),
    options=Options,
    readings={"change": Reading(_("Changes"), changes, change, begin, since)},
)
