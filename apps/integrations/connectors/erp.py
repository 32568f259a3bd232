"""An ERP of the Millennium kind: OData-like lists over Basic authentication. We only read, so every call may be repeated.

Customers and products are listed in the order of `trans_id`, which only rises: the next page begins behind the highest
one seen, so records that change meanwhile come again at the end, and none is stepped over. Orders are listed by day with
`$skip`; each page begins with the last record of the one before, and a day whose list has shifted is read anew.
"""

import base64
import datetime as dt
import hashlib
import json
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import requests
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from apps.deadletters.failures import FailureClass
from apps.integrations.connectors.answers import by_status, json_of
from apps.integrations.connectors.shape import Connector, Reading, Site, Steps
from apps.integrations.outcome import Outcome, Page, Read

ZONE = ZoneInfo("America/Sao_Paulo")
"""Its days are those of this zone."""
DATE = re.compile(r"/Date\((-?\d{1,15})([+-]\d{1,4})?\)/")
"""Milliseconds since 1970 and the zone in minutes."""
DAY = dt.timedelta(days=1)
RESTARTS = 5
"""So often a day that shifts while it is read is begun anew in one pass."""
CREDENTIAL = re.compile(r"senha|login|autoriza|autentica|password|credential", re.IGNORECASE)
PASSING = re.compile(r"timeout|tempo|deadlock|ocupad|indispon|tente novamente|busy", re.IGNORECASE)

Row = dict[str, Any]
Asked = Generator[requests.Request, requests.Response, "list[Any] | Outcome"]
"""Steps that end in the records of a list, or in why there are none."""


class Options(BaseModel):
    """How this ERP is read. `overlap` and `overlap_days` are read again in each pass; `first_days` is how far back orders
    are read the first time. `vitrine` is the catalogue whose products are listed."""

    model_config = ConfigDict(extra="forbid")

    page_size: int = Field(500, ge=2, le=1000)
    overlap: int = Field(100, ge=0)
    overlap_days: int = Field(2, ge=0)
    first_days: int = Field(365, ge=1)
    vitrine: int = 1


def moment(value: object) -> object:
    """Read `/Date(1767700000000-180)/`; anything else is left for pydantic to refuse."""
    found = DATE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        if value is None:
            return None
        raise ValueError(_("is no date such as /Date(1767700000000-180)/"))
    try:
        zone = dt.timezone(dt.timedelta(minutes=int(found[2] or 0)))
        return dt.datetime.fromtimestamp(0, zone) + dt.timedelta(milliseconds=int(found[1]))
    except (OverflowError, ValueError):
        raise ValueError(_("is a date beyond all calendars")) from None


def day(value: object) -> object:
    """Read the day of such a moment, in its own zone."""
    found = moment(value)
    return found.date() if isinstance(found, dt.datetime) else found


def text(value: object) -> object:
    """Read what it writes as a number or a text, without the blanks around it."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return " ".join(value.split()) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(text), Field(max_length=300)]
Needed = Annotated[str, BeforeValidator(text), Field(min_length=1, max_length=300)]
Code = Annotated[str, BeforeValidator(text), Field(min_length=1, max_length=100)]
Moment = Annotated[dt.datetime | None, BeforeValidator(moment)]
Day = Annotated[dt.date | None, BeforeValidator(day)]
Money = Annotated[float, Field(ge=-(10**12), le=10**12, allow_inf_nan=False)]


class Told(BaseModel):
    """A record: what we want of it, by the ERP's names; what else it tells is passed over."""

    model_config = ConfigDict(extra="ignore")


class Customer(Told):
    """A customer."""

    name: Needed = Field(alias="nome")
    email: Text | None = Field(None, alias="e_mail")
    phone: Text | None = Field(None, alias="fone")
    born_on: Day = Field(None, alias="aniversario")
    city: Text | None = Field(None, alias="cidade")
    state: Text | None = Field(None, alias="estado")
    registered_at: Moment = Field(None, alias="data_cadastro")


class Product(Told):
    """A product of the catalogue."""

    name: Needed = Field(alias="descricao1")
    category: Text | None = Field(None, alias="tipo")
    price: Money | None = Field(None, alias="preco1")
    active: bool = Field(True, alias="ativo")


class Item(Told):
    """One line of an order."""

    name: Needed = Field(alias="descricao")
    price: Money = Field(alias="preco")
    quantity: Money = Field(1, alias="quantidade")
    category: Text | None = Field(None, alias="tipo")


class Order(Told):
    """An order that was paid."""

    customer_email: Text | None = Field(None, alias="e_mail")
    ordered_at: Annotated[dt.datetime, BeforeValidator(moment)] = Field(alias="data_emissao")
    total: Money = Field(alias="total")
    channel: Text | None = Field(None, alias="canal")
    state: Text = Field("", alias="situacao")
    items: list[Item] = Field(default_factory=list, alias="itens", max_length=500)


@dataclass(frozen=True)
class List:
    """One of its lists: where it is, which field is the code, and by which parameter one record is asked for."""

    path: str
    code: str
    schema: type[Told]
    one: str
    fixed: Mapping[str, str] = field(default_factory=dict)
    one_path: str = ""


CUSTOMERS = List("clientes/lista", "cliente", Customer, "cliente")
PRODUCTS = List("produtos/listavitrine", "produto", Product, "produto", {"vitrine": "vitrine"})
ORDERS = List("pedido_venda/listafaturamentos", "cod_pedidov", Order, "cod_pedidov", one_path="pedido_venda/consulta")


def classify(response: requests.Response, repeatable: bool) -> Outcome:
    """Read one answer: an error in the body first, whatever the status, then the status."""
    said = _said(response)
    if response.ok and said:
        words = _("Answered %(status)s with an error: %(said)s") % {"status": response.status_code, "said": said}
        return Outcome(_class_of(said), words)
    outcome = by_status(response, True, said)
    if response.status_code == 400:  # an unknown parameter: what we ask for is wrong, not a record
        return replace(outcome, failure_class=FailureClass.CONFIG)
    return outcome


def probe(site: Site) -> Steps:
    """Ask for the smallest page: harmless, and refused without a valid user."""
    rows = yield from _asked(site, CUSTOMERS.path, {"$top": 1, "$skip": 0})
    return rows if isinstance(rows, Outcome) else Outcome()


def by_revision(listed: List, site: Site, position: Mapping[str, Any]) -> Steps:
    """Read the page behind a `trans_id`. A list that is not in its order is refused: records would be left out."""
    options = Options(**site.options)
    after = int(position.get("after", 0))
    words = {**_fixed(listed, options), "trans_id": after, "$top": options.page_size, "$skip": 0}
    rows = yield from _asked(site, listed.path, words)
    if isinstance(rows, Outcome):
        return rows
    records = [_read(listed, row) for row in rows]
    numbers = [record.revision for record in records if record.revision]
    highest, last = max(numbers, default=after), len(rows) < options.page_size
    if numbers != sorted(numbers) or (highest <= after and not last):
        told = _("%(path)s is not in the order of trans_id: nothing was taken, or records would be left out.")
        return Outcome(FailureClass.CONFIG, told % {"path": listed.path})
    mark = {"after": max(after, highest)}
    return Outcome(page=Page(records, None if last else mark, mark))


def by_day(listed: List, site: Site, position: Mapping[str, Any]) -> Steps:
    """Read a page of one day; its first record is the last of the page before, or the day is begun anew."""
    options, skip, anchor = Options(**site.options), int(position.get("skip", 0)), position.get("anchor", "")
    words: Row = {"data_emissao_inicial": position["day"], "data_emissao_final": position["day"]}
    words |= {"lancamentos_pedido": "true", "$top": options.page_size, "$skip": max(skip - 1, 0) if anchor else skip}
    rows = yield from _asked(site, listed.path, words)
    if isinstance(rows, Outcome):
        return rows
    records = [_read(listed, row) for row in rows]
    if anchor:
        if not records or records[0].id != anchor:
            return _begun_anew(position)
        records = records[1:]
    if len(rows) < options.page_size:
        return Outcome(page=_next_day(records, position))
    on = {**position, "skip": skip + len(records), "anchor": records[-1].id}
    return Outcome(page=Page(records, on))


def one(listed: List, site: Site, id: str) -> Steps:
    """Read one record by its code."""
    words = {**_fixed(listed, Options(**site.options)), listed.one: id, "$top": 1, "$skip": 0}
    rows = yield from _asked(site, listed.one_path or listed.path, words)
    if isinstance(rows, Outcome):
        return rows
    return Outcome(page=Page([found for found in (_read(listed, row) for row in rows) if found.id == id][:1], None))


def _begun_anew(position: Mapping[str, Any]) -> Outcome:
    restarts = int(position.get("restarts", 0)) + 1
    if restarts > RESTARTS:
        told = _("The orders of %(day)s keep shifting while they are read. The next run begins that day anew.")
        return Outcome(FailureClass.TRANSIENT, told % {"day": position["day"]})
    return Outcome(page=Page([], {"day": position["day"], "until": position["until"], "restarts": restarts}))


def _next_day(records: list[Read], position: Mapping[str, Any]) -> Page:
    here = dt.date.fromisoformat(position["day"])
    if here.isoformat() >= position["until"]:
        return Page(records, None, {"day": position["until"]})
    return Page(records, {"day": (here + DAY).isoformat(), "until": position["until"]})


def begin_by_revision(watermark: Mapping[str, Any], options: Mapping[str, Any], now: dt.datetime) -> Row:
    """Begin a little before the watermark: a change with a lower number may have become visible later."""
    return {"after": max(int(watermark.get("after", 0)) - Options(**options).overlap, 0)}


def since_by_revision(
    moment: dt.datetime, lowest: int | None, options: Mapping[str, Any], now: dt.datetime
) -> Row | None:
    """Begin at the lowest number that was seen since then; nothing to read again where none was."""
    return None if lowest is None else {"after": max(lowest - 1, 0)}


def begin_by_day(watermark: Mapping[str, Any], options: Mapping[str, Any], now: dt.datetime) -> Row:
    """Begin some days before the watermark, or so far back as the options say, and end with today."""
    wanted, today = Options(**options), now.astimezone(ZONE).date()
    days = wanted.overlap_days if watermark else wanted.first_days
    first = (dt.date.fromisoformat(watermark["day"]) if watermark else today) - days * DAY
    return {"day": first.isoformat(), "until": max(first, today).isoformat()}


def since_by_day(moment: dt.datetime, lowest: int | None, options: Mapping[str, Any], now: dt.datetime) -> Row:
    """Begin with the day of that moment."""
    first, today = moment.astimezone(ZONE).date(), now.astimezone(ZONE).date()
    return {"day": min(first, today).isoformat(), "until": today.isoformat()}


def _asked(site: Site, path: str, words: Mapping[str, Any]) -> Asked:
    """Ask for a list and return its records."""
    url = f"{site.at(path)}?{urlencode({'$format': 'json', **words}, safe='$/')}"
    response = yield requests.Request("GET", url, headers=_headers(site))
    outcome = classify(response, True)
    if not outcome.succeeded:
        return outcome
    body = json_of(response)
    rows = body.get("value") if isinstance(body, dict) else None
    if isinstance(rows, list):
        return rows
    return Outcome(FailureClass.UNKNOWN, _("Answered %s, and no list of records.") % response.status_code)


def _headers(site: Site) -> dict[str, str]:
    shown = f"{site.credential('user')}:{site.credential('password')}".encode()
    return {"Authorization": f"Basic {base64.b64encode(shown).decode()}", "Accept": "application/json"}


def _fixed(listed: List, options: Options) -> Row:
    return {name: getattr(options, option) for name, option in listed.fixed.items()}


def _read(listed: List, row: object) -> Read:
    """Read a record; what is wrong with it stands beside it, and stops no other."""
    if not isinstance(row, dict):
        return Read(_digest(row), {"": row}, errors={"": [_("is no record")]})
    revision = row.get("trans_id")
    number = revision if isinstance(revision, int) and 0 < revision < 2**63 else 0
    code = text(row.get(listed.code))
    known = isinstance(code, str) and 0 < len(code) <= 100
    try:
        fields = listed.schema.model_validate(row)
    except ValidationError as error:
        return Read(str(code) if known else _digest(row), row, revision=number, errors=_errors(error))
    if not known:
        return Read(_digest(row), row, revision=number, errors={listed.code: [_("is required")]})
    return Read(str(code), row, fields.model_dump(mode="json"), number)


def _digest(row: object) -> str:
    """Return what names a record that has no code: the same for the same content."""
    return "?" + hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]


def _errors(error: ValidationError) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        said = _("is required") if one["type"] == "missing" else one["msg"].removeprefix("Value error, ")
        errors.setdefault(".".join(map(str, one["loc"])), []).append(said)
    return errors


def _said(response: requests.Response) -> str:
    """Return the error that a body tells of, in either of its shapes; empty where it tells of none."""
    body = json_of(response)
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message", error.get("code")) if isinstance(error, dict) else error
    said = message.get("value") if isinstance(message, dict) else message
    return " ".join(str(said).split())[:500] if said else ""


def _class_of(said: str) -> FailureClass:
    if CREDENTIAL.search(said):
        return FailureClass.CREDENTIAL
    return FailureClass.TRANSIENT if PASSING.search(said) else FailureClass.UNKNOWN


ERP = Connector(
    label=gettext_lazy("ERP (Millennium, OData)"),
    operations={},
    classify=classify,
    probe=probe,
    credentials={"user": gettext_lazy("User"), "password": gettext_lazy("Password")},
    options=Options,
    readings={
        "customer": Reading(
            gettext_lazy("Customers"),
            partial(by_revision, CUSTOMERS),
            partial(one, CUSTOMERS),
            begin_by_revision,
            since_by_revision,
        ),
        "product": Reading(
            gettext_lazy("Products"),
            partial(by_revision, PRODUCTS),
            partial(one, PRODUCTS),
            begin_by_revision,
            since_by_revision,
        ),
        "order": Reading(
            gettext_lazy("Orders"), partial(by_day, ORDERS), partial(one, ORDERS), begin_by_day, since_by_day
        ),
    },
)
