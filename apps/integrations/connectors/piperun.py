"""Piperun CRM: deals, persons, companies and notes. It hinders no doubles, so we look before we create again."""

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Self
from urllib.parse import quote
from zoneinfo import ZoneInfo

import requests
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_stubs_ext import StrOrPromise
from pydantic import BaseModel, ConfigDict, Field, model_validator

from apps.deadletters.failures import FailureClass
from apps.integrations.connectors.answers import by_status, json_of
from apps.integrations.connectors.shape import Connector, Doubles, Operation, Order, Reading, Site, Steps
from apps.integrations.outcome import Outcome, Page, Read

ZONE = ZoneInfo("America/Sao_Paulo")
"""Its times carry none; this one is assumed, so looks reach a day further back."""
SHOWN, PAGES = 200, 25
"""Rows of a page, and how many pages a look follows before it says that it cannot say."""
LEAST_WAIT = 5.0
TIME, OVERLAP = "%Y-%m-%d %H:%M:%S", timedelta(minutes=5)
"""How it writes a time; and so much of it is read again in each pass."""
DOCUMENT = re.compile(r"\d{3}\.?\d{3}\.?\d{3}-?\d{2}|[0-9A-Z]{2}\.?[0-9A-Z]{3}\.?[0-9A-Z]{3}/?[0-9A-Z]{4}-?\d{2}")
"""A CPF or a CNPJ, with or without its points."""
PARENTS = ("deal_id", "person_id", "company_id")

Row = dict[str, Any]
Look = Generator[requests.Request, requests.Response, Outcome | None]
"""Steps that end in what was found, in why nothing can be said, or in None: it surely is not there."""


class Options(BaseModel):
    """`record_url` is where people see a record, such as `https://crm.example.com/{resource}/{id}`."""

    model_config = ConfigDict(extra="forbid")

    record_url: str = ""


class Fields(BaseModel):
    """What a record must have; what else is given is passed on."""

    model_config = ConfigDict(extra="allow")


class Deal(Fields):
    """A new deal."""

    title: str = Field(min_length=1)
    pipeline_id: int
    stage_id: int


class Named(Fields):
    """A new person or company."""

    name: str = Field(min_length=1)


class Note(Fields):
    """A new note, on a deal, a person or a company."""

    text: str = Field(min_length=1)

    @model_validator(mode="after")
    def _on_something(self) -> Self:
        if not any((self.model_extra or {}).get(parent) for parent in PARENTS):
            raise ValueError(_("one of deal_id, person_id and company_id is required"))
        return self


class Change(Fields):
    """New values for the record of this id."""

    id: int = Field(gt=0)


@dataclass(frozen=True, slots=True)
class Noun:
    """A resource. Our reference stands in `mark`, where it has room for one; `document` is what it holds only once."""

    entity: str
    resource: str
    mark: str = ""
    document: str = ""
    alike: tuple[str, ...] = ()
    """Where there is no mark: the fields by which a record may be ours."""


DEAL = Noun("deal", "deals", mark="reference")
PERSON = Noun("person", "persons", mark="external_code", document="cpf")
COMPANY = Noun("company", "companies", mark="external_code", document="cnpj")
NOTE = Noun("note", "notes", alike=("text", *PARENTS))


def classify(response: requests.Response, repeatable: bool) -> Outcome:
    """Read one answer: its status, its message and its errors by field."""
    if response.status_code < 300:
        return by_status(response, repeatable)
    errors = _errors(response)
    fields = [f"{name}: {' '.join(said)}" for name, said in errors.items()]
    outcome = replace(by_status(response, repeatable, " ".join([*_said(response), *fields])), errors=errors)
    if outcome.failure_class == FailureClass.RATE_LIMITED:
        return replace(outcome, retry_after=max(outcome.retry_after or 0, LEAST_WAIT))
    return outcome


def create(noun: Noun, order: Order) -> Steps:
    """Create a record, unless an earlier call may have done it and a look finds it, or cannot say."""
    if order.called_at and (found := (yield from _look(noun, order))):
        return _saying(found, _("It was already there: an earlier call had reached Piperun."))
    body = {noun.mark: order.reference} if noun.mark else {}
    response = yield _request(order, "POST", noun.resource, json=body | _payload(order))
    outcome = classify(response, False)
    if outcome.failure_class == FailureClass.PERMANENT_DATA and _is_taken(outcome, noun):
        return (yield from _look_for_document(noun, order)) or outcome
    return _record(noun, order, response) if outcome.succeeded else outcome


def update(noun: Noun, order: Order) -> Steps:
    """Write the payload's values to the record of its id; twice is once."""
    values = {name: value for name, value in _payload(order).items() if name != "id"}
    response = yield _request(order, "PUT", f"{noun.resource}/{order.payload['id']}", json=values)
    outcome = classify(response, True)
    return _record(noun, order, response) if outcome.succeeded else outcome


def confirm_created(noun: Noun, order: Order) -> Steps:
    """Ask whether the record is there: by its id where that is known, else by our reference."""
    if order.remote_id:
        found: Outcome | None = yield from _read(noun, order, order.remote_id)
    else:
        found = yield from _look(noun, order)
    absent = Outcome(FailureClass.PERMANENT_DATA, _("There is no such record in Piperun."))
    return _saying(found, _("It is there.")) if found else absent


def confirm_updated(noun: Noun, order: Order) -> Steps:
    """Ask whether the record holds the values that were to be written."""
    outcome = yield from _read(noun, order, str(order.payload["id"]))
    row = outcome.result or {}
    other = [name for name, value in _payload(order).items() if name in row and not _same(value, row[name])]
    if outcome.succeeded and other:
        return _unsure(_("The record now has other values in: %s.") % ", ".join(other), outcome)
    return _saying(outcome, _("It is there, with these values."))


def probe(site: Site) -> Steps:
    """Ask for one user: harmless, and refused without a valid token."""
    response = yield requests.Request("GET", site.at("users"), headers=_headers(site), params={"show": "1"})
    return classify(response, True)


def changed(noun: Noun, site: Site, position: Mapping[str, Any]) -> Steps:
    """Read the next records in the order of their last change. Its times are whole seconds: many may share one.

    Where a page holds one second alone, the next page of that second is read; else the next begins with the last second
    seen, whose records come again.
    """
    since, page = str(position["since"]), int(position.get("page", 1))
    words = {"updated_at_start": since, "sort": "updated_at", "desc": "false", "show": str(SHOWN), "page": str(page)}
    response = yield requests.Request("GET", site.at(noun.resource), headers=_headers(site), params=words)
    outcome = classify(response, True)
    rows = _rows(response) if outcome.succeeded else None
    if rows is None:
        return _no_list(outcome, response)
    records = [_read_row(row) for row in rows]
    times = [str(row["updated_at"]) for row in rows if row.get("updated_at")]
    if times != sorted(times):
        return Outcome(FailureClass.CONFIG, _("The list is not in the order of its last changes: nothing was taken."))
    mark = {"since": max([since, *times])}
    if len(rows) < SHOWN:
        return Outcome(page=Page(records, None, mark))
    return Outcome(page=Page(records, mark if mark["since"] > since else {"since": since, "page": page + 1}))


def changed_one(noun: Noun, site: Site, id: str) -> Steps:
    """Read one record by its id."""
    address = site.at(f"{noun.resource}/{quote(id, safe='')}")
    response = yield requests.Request("GET", address, headers=_headers(site))
    if response.status_code == 404:
        return Outcome(page=Page([], None))
    outcome = classify(response, True)
    body = json_of(response) if outcome.succeeded else None
    data = body.get("data") if isinstance(body, dict) else None
    return Outcome(page=Page([_read_row(data)], None)) if isinstance(data, dict) else _no_list(outcome, response)


def begin(watermark: Mapping[str, Any], options: Mapping[str, Any], now: datetime) -> Row:
    """Begin some minutes before the watermark; the first time, a day back."""
    known = datetime.strptime(str(watermark["since"]), TIME) if watermark else None  # noqa: DTZ007 # it tells none
    moment = known - OVERLAP if known else now.astimezone(ZONE) - timedelta(days=1)
    return {"since": moment.strftime(TIME)}


def since(moment: datetime, lowest: int | None, options: Mapping[str, Any], now: datetime) -> Row:
    """Begin with that moment, by its own clock."""
    return {"since": moment.astimezone(ZONE).strftime(TIME)}


def _read_row(row: Row) -> Read:
    """Return a record as it is; one without an id or a time of its last change cannot be told from others."""
    needed = {name: [_("is required")] for name in ("id", "updated_at") if not row.get(name)}
    return Read(str(row.get("id") or "?")[:100], row, {} if needed else row, errors=needed)


def _no_list(outcome: Outcome, response: requests.Response) -> Outcome:
    if not outcome.succeeded:
        return outcome
    return Outcome(FailureClass.UNKNOWN, _("Answered %s, and no list of records.") % response.status_code)


def _look(noun: Noun, order: Order) -> Look:
    """Search for the record that an earlier call may have made. Only our own mark proves that it is ours."""
    payload = _payload(order)
    if noun.mark and noun.mark not in payload:
        return (yield from _scan(noun, order, {noun.mark: order.reference}))
    wanted = {name: payload[name] for name in (noun.mark, *noun.alike) if name in payload}
    found = yield from _scan(noun, order, wanted)
    if found and found.succeeded:
        return _unsure(_("There is a record like it, which may be of this operation or not."), found)
    return found


def _look_for_document(noun: Noun, order: Order) -> Look:
    """Find the record that holds the document already, to link it."""
    wanted = {noun.document: order.payload[noun.document]}
    found = yield from _scan(noun, replace(order, called_at=None), wanted)
    if found is None or found.unsure:
        return None
    message = _("It was already there: %s is taken by this record.") % noun.document
    return replace(found, failure_class=FailureClass.DUPLICATE, message=message) if found.succeeded else found


def _scan(noun: Noun, order: Order, wanted: Row) -> Look:
    """Walk the pages of a list. Its filters may be ignored, so each row's own fields decide."""
    filters = _filters(wanted, order)
    page: dict[str, str] | None = {"cursor": ""}
    for _page in range(PAGES):
        response = yield _request(order, "GET", noun.resource, params=filters | (page or {}))
        rows = _rows(response)
        if rows is None:
            return _cannot_say(response)
        for row in rows:
            if all(_same(value, row.get(name)) for name, value in wanted.items()):
                return _found(noun, order, row)
        page = _next_page(response, rows)
        if page is None:
            return None
    return _unsure(_("It was not among the %s newest records; look for it by hand.") % (PAGES * SHOWN))


def _filters(wanted: Row, order: Order) -> dict[str, str]:
    filters = {name: str(value) for name, value in wanted.items() if name != "text"}
    if order.called_at:
        since = (order.called_at - timedelta(days=1)).astimezone(ZONE)
        filters["created_at_start"] = since.strftime("%Y-%m-%d %H:%M:%S")
    # The newest first: what a look is for was written a moment ago.
    return filters | {"show": str(SHOWN), "sort": "id", "desc": "true"}


def _next_page(response: requests.Response, rows: list[Row]) -> dict[str, str] | None:
    """Return the parameters of the page that follows, in either kind of paging; None after the last."""
    meta = json_of(response).get("meta")
    meta = meta if isinstance(meta, dict) else {}
    if isinstance(meta.get("cursor"), dict):
        following = meta["cursor"].get("next")
        return {"cursor": str(following)} if following else None
    number = int(meta.get("current_page") or 1)
    last = number >= int(meta["total_pages"]) if "total_pages" in meta else len(rows) < SHOWN
    return None if last else {"page": str(number + 1)}


def _rows(response: requests.Response) -> list[Row] | None:
    body = json_of(response) if classify(response, True).succeeded else None
    rows = body.get("data") if isinstance(body, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else None


def _cannot_say(response: requests.Response) -> Outcome:
    """A look that was refused is made again later; one that was answered with something else settles nothing."""
    outcome = classify(response, True)
    if outcome.failure_class in (None, FailureClass.PERMANENT_DATA, FailureClass.UNKNOWN):
        return _unsure(_("The list could not be read. %s") % outcome.message)
    return outcome


def _read(noun: Noun, order: Order, id: str) -> Steps:
    response = yield _request(order, "GET", f"{noun.resource}/{id}")
    outcome = classify(response, True)
    return _record(noun, order, response) if outcome.succeeded else outcome


def _record(noun: Noun, order: Order, response: requests.Response) -> Outcome:
    """Read the record out of an answer; some controllers wrap it in a list of one."""
    body = json_of(response)
    data = body.get("data") if isinstance(body, dict) else None
    row = data[0] if isinstance(data, list) and data else data
    if not isinstance(body, dict) or not isinstance(row, dict) or not row.get("id"):
        return Outcome(FailureClass.UNKNOWN, _("Piperun's answer holds no record."))
    if body.get("success", body.get("sucess", True)) is False:
        return Outcome(FailureClass.PERMANENT_DATA, " ".join(_said(response)), errors=_errors(response))
    return _found(noun, order, row)


def _found(noun: Noun, order: Order, row: Row) -> Outcome:
    id = str(row.get("id"))[:100]
    link = Options(**order.site.options).record_url.replace("{resource}", noun.resource).replace("{id}", id)
    return Outcome(remote_id=id, remote_url=link, result=row)


def _saying(outcome: Outcome, message: str) -> Outcome:
    return replace(outcome, message=message) if outcome.succeeded else outcome


def _unsure(message: str, found: Outcome | None = None) -> Outcome:
    return replace(found or Outcome(), failure_class=FailureClass.AMBIGUOUS, message=message, unsure=True)


def _request(order: Order, method: str, path: str, **content: Any) -> requests.Request:
    headers = _headers(order.site) | {"Idempotency-Key": order.key}
    return requests.Request(method, order.site.at(path), headers=headers, **content)


def _headers(site: Site) -> dict[str, str]:
    return {"token": site.credential("token"), "Accept": "application/json"}


def _payload(order: Order) -> Row:
    """What is Piperun's of the payload: names that begin with _ are ours."""
    return {name: value for name, value in order.payload.items() if not name.startswith("_")}


def _said(response: requests.Response) -> list[str]:
    body = json_of(response)
    said = (body.get("message") or body.get(" message")) if isinstance(body, dict) else None
    return _texts(said)


def _errors(response: requests.Response) -> dict[str, list[str]]:
    body = json_of(response) if response.status_code in (400, 409, 422) else None
    data = body.get("data") if isinstance(body, dict) else None
    return {str(name): _texts(said) for name, said in data.items()} if isinstance(data, dict) else {}


def _texts(said: object) -> list[str]:
    return [str(one) for one in said] if isinstance(said, list) else [str(said)] if said else []


def _is_taken(outcome: Outcome, noun: Noun) -> bool:
    return any(
        re.search("já existe|already exists", said, re.IGNORECASE) for said in outcome.errors.get(noun.document, [])
    )


def _same(ours: object, theirs: object) -> bool:
    """Whether two values are one: it writes numbers as text, and documents with or without their points."""
    return ours == theirs or _bare(ours) == _bare(theirs) != ""


def _bare(value: object) -> str:
    text = str(value).strip()
    if re.fullmatch(r"-?\d+\.\d+", text):
        return text.rstrip("0").rstrip(".")
    return re.sub(r"[./-]", "", text) if DOCUMENT.fullmatch(text) else text


def _creates(noun: Noun, schema: type[BaseModel], label: StrOrPromise, help: StrOrPromise) -> Operation:
    return Operation(
        label=label,
        help=help,
        entity=noun.entity,
        schema=schema,
        doubles=lambda options: Doubles.LOOKUP,
        perform=partial(create, noun),
        confirm=partial(confirm_created, noun),
    )


def _updates(noun: Noun, label: StrOrPromise) -> Operation:
    return Operation(
        label=label,
        help=gettext_lazy("Writes the given values to the record of this id. Twice is once."),
        entity=noun.entity,
        schema=Change,
        doubles=lambda options: Doubles.UPSERT,
        perform=partial(update, noun),
        confirm=partial(confirm_updated, noun),
    )


PIPERUN = Connector(
    label=gettext_lazy("Piperun CRM"),
    operations={
        "deal.create": _creates(
            DEAL, Deal, gettext_lazy("Create deal"), gettext_lazy("Needs title, pipeline_id and stage_id.")
        ),
        "deal.update": _updates(DEAL, gettext_lazy("Update deal")),
        "person.create": _creates(
            PERSON,
            Named,
            gettext_lazy("Create person"),
            gettext_lazy("Needs a name. Where the CPF is there already, that person is linked."),
        ),
        "person.update": _updates(PERSON, gettext_lazy("Update person")),
        "company.create": _creates(
            COMPANY,
            Named,
            gettext_lazy("Create company"),
            gettext_lazy("Needs a name. Where the CNPJ is there already, that company is linked."),
        ),
        "company.update": _updates(COMPANY, gettext_lazy("Update company")),
        "note.create": _creates(
            NOTE,
            Note,
            gettext_lazy("Create note"),
            gettext_lazy("Needs a text, and the deal, person or company it is on."),
        ),
    },
    classify=classify,
    probe=probe,
    credentials={"token": gettext_lazy("API token")},
    options=Options,
    readings={
        "deal": Reading(gettext_lazy("Deals"), partial(changed, DEAL), partial(changed_one, DEAL), begin, since),
        "person": Reading(
            gettext_lazy("Persons"), partial(changed, PERSON), partial(changed_one, PERSON), begin, since
        ),
    },
)
