"""Piperun's API as far as the console uses it: five resources, lists in two kinds of pages, its envelope with its oddities.

Nothing here hinders doubles: `reference` is free text to it, as to the real one. Times carry no zone and are São Paulo's.
"""

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from apps.simulator.calls import Answer, Call
from apps.simulator.conditions import Weather
from apps.simulator.ledger import Ledger
from apps.simulator.store import Store

ZONE = ZoneInfo("America/Sao_Paulo")
DEFAULT_SHOW, LARGEST_SHOW = 15, 200
REQUIRED = {
    "deals": ("title", "pipeline_id", "stage_id"),
    "persons": ("name",),
    "companies": ("name",),
    "notes": ("text",),
    "activities": ("activity_type_id", "status", "owner_id"),
}
NOTE_PARENTS = ("deal_id", "person_id", "company_id")
BLANKS: dict[str, dict[str, Any]] = {
    "deals": {
        **dict.fromkeys(
            ("owner_id", "person_id", "company_id", "origin_id", "lost_reason_id", "reference", "closed_at")
        ),
        **{"status": 0, "value": "0.00", "value_mrr": "0.00", "temperature": None, "probability": None, "freezed": 0},
        **{"custom_fields": [], "tags": []},
    },
    "persons": {"cpf": None, "external_code": None, "company_id": None, "custom_fields": []},
    "companies": {"cnpj": None, "external_code": None, "custom_fields": []},
}
CATALOGUES = {
    "pipelines": [{"id": 1, "name": "Vendas"}, {"id": 2, "name": "Pós-venda"}],
    "stages": [
        {"id": id, "name": name, "pipeline_id": 1} for id, name in enumerate(("Novo", "Contato", "Proposta"), 10)
    ],
    "users": [{"id": 5, "name": "Usuário da integração", "email": "integracao@example.com", "active": 1}],
    "origins": [{"id": 1, "name": "WhatsApp"}, {"id": 2, "name": "Site"}],
    "lostReasons": [{"id": 1, "name": "Preço"}],
    "customFields": [{"id": 1, "name": "Linha", "belongs": 1}],
    "tags": [{"id": 1, "name": "Quente"}],
    "cities": [{"id": 3106200, "name": "Belo Horizonte", "uf": "MG"}],
    "stageHistories": [],
    "activityTypes": [{"id": 1, "name": "Ligação"}, {"id": 2, "name": "Reunião"}],
}
NO_FILTERS = {"show", "cursor", "page", "sort", "desc", "with", "token"}
TIMES = ("created_at", "updated_at", "closed_at")
BOUNDS = {f"{time}_{bound}" for time in TIMES for bound in ("start", "end")}
SORTS = ("id", *TIMES, "title", "name")
CLOSED = (1, 3)

Row = dict[str, Any]


class Page(NamedTuple):
    """The rows of a page and its `meta`."""

    rows: list[Row]
    meta: dict[str, Any]


class Piperun:
    """One account."""

    def __init__(self, name: str, store: Store, ledger: Ledger, weather: Weather) -> None:
        self.name, self.store, self.ledger, self.weather = name, store, ledger, weather
        self.rows: dict[str, dict[int, Row]] = {resource: self._kept(resource) for resource in REQUIRED}
        self.by_reference: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows["deals"].values():
            self.by_reference[str(row["reference"])].append(row)

    def credential(self, call: Call) -> str:
        """The `token` header; the query works as well, as it does at the real one."""
        return call.headers.get("token", "") or call.query.get("token", "")

    def error(self, status: int, message: str) -> Answer:
        """The envelope of a refusal."""
        return Answer(status, {"success": False, "message": message})

    def answer(self, call: Call) -> Answer:
        """Find the resource and the method."""
        if self.weather.conditions.checks_token and not call.known:
            return self.error(401, "Unauthorized")
        match call.path.strip("/").split("/"):
            case ["v1", resource] if resource in REQUIRED:
                return self._by_method(call, resource, {"GET": self._list, "POST": self._create})
            case ["v1", resource, id] if resource in REQUIRED and id.isascii() and id.isdecimal() and len(id) < 16:
                return self._one(call, resource, int(id))
            case ["v1", resource] if resource in CATALOGUES:
                return self._by_method(call, resource, {"GET": self._list})
        return self.error(404, "Not Found")

    def _by_method(self, call: Call, resource: str, methods: dict[str, Callable[[Call, str], Answer]]) -> Answer:
        if call.method not in methods:
            return self.error(405, "Method Not Allowed")
        return methods[call.method](call, resource)

    def _one(self, call: Call, resource: str, id: int) -> Answer:
        row = self.rows[resource].get(id)
        if row is None or row["deleted"]:
            # One of its controllers spells the key with a space in front.
            return Answer(404, {"success": False, " message" if resource == "notes" else "message": "Not Found"})
        match call.method:
            case "GET":
                return _envelope(resource, 200, row)
            case "PUT":
                return self._update(call, resource, row)
            case "DELETE":
                self._write(call, resource, row | {"deleted": 1, "updated_at": _now()})
                return Answer(204)
        return self.error(405, "Method Not Allowed")

    # Writing

    def _create(self, call: Call, resource: str) -> Answer:
        if refusal := self._unfit(call, resource, call.fields()):
            return refusal
        id, now = next(reversed(self.rows[resource]), 0) + 1, _now()
        own = {"id": id, "hash": hashlib.md5(f"{resource}/{id}".encode(), usedforsecurity=False).hexdigest()}
        stamps = {"deleted": 0, "created_at": now, "updated_at": now}
        stamps |= {"last_stage_updated_at": now} if resource == "deals" else {}
        row = self._write(call, resource, own | call.fields() | BLANKS.get(resource, {}) | call.fields() | own | stamps)
        # `POST /companies` alone answers a list of one.
        return _envelope(resource, 200, [row] if resource == "companies" else row)

    def _update(self, call: Call, resource: str, row: Row) -> Answer:
        fields = {name: value for name, value in call.fields().items() if name not in ("id", "hash", "created_at")}
        if refusal := self._unfit(call, resource, row | fields, row["id"]):
            return refusal
        now = _now()
        stamps = {"updated_at": now}
        if fields.get("stage_id", row.get("stage_id")) != row.get("stage_id"):
            stamps["last_stage_updated_at"] = now
        if fields.get("status") in CLOSED and row.get("status") not in CLOSED and resource == "deals":
            stamps["closed_at"] = now
        return _envelope(resource, 200, self._write(call, resource, row | fields | stamps))

    def _unfit(self, call: Call, resource: str, fields: Row, own_id: int | None = None) -> Answer | None:
        if call.unreadable or not isinstance(call.payload, dict):
            return self.error(400, "The body must be a JSON object.")
        errors = {name: ["O campo é obrigatório."] for name in REQUIRED[resource] if fields.get(name) in (None, "")}
        if resource == "notes" and not any(fields.get(name) for name in NOTE_PARENTS):
            errors["deal_id"] = ["O campo é obrigatório quando person_id e company_id não estão presentes."]
        if resource == "persons" and self._cpf_taken(fields.get("cpf"), own_id):
            errors["cpf"] = ["O CPF já existe."]
        if not errors:
            return None
        return Answer(422, {"success": False, "message": ["Os dados enviados são inválidos."], "data": errors})

    def _cpf_taken(self, cpf: object, own_id: int | None) -> bool:
        people = self.rows["persons"].values()
        return bool(cpf) and any(row["cpf"] == cpf and row["id"] != own_id and not row["deleted"] for row in people)

    def _write(self, call: Call, resource: str, row: Row) -> Row:
        with self.store.transaction():
            self.store.keep(f"{self.name}/{resource}", str(row["id"]), row)
            self.ledger.took_effect(call, f"{resource}/{row['id']}")
        self._index(resource, row)
        return row

    def _index(self, resource: str, row: Row) -> None:
        before = self.rows[resource].get(row["id"])
        self.rows[resource][row["id"]] = row
        if resource == "deals":
            if before:
                self.by_reference[str(before["reference"])].remove(before)
            self.by_reference[str(row["reference"])].append(row)

    # Reading

    def _list(self, call: Call, resource: str) -> Answer:
        try:
            page = _page(self._found(call, resource), call)
        except ValueError:
            return self.error(422, "Invalid cursor, page or show.")
        return _envelope(resource, 200, page.rows, page.meta)

    def _found(self, call: Call, resource: str) -> list[Row]:
        if resource in CATALOGUES:
            return list(CATALOGUES[resource])
        filters = {name: value for name, value in call.query.items() if name not in NO_FILTERS}
        if not self.weather.conditions.reference_filter:
            filters.pop("reference", None)
        rows = list(self.rows[resource].values())
        if resource == "deals" and "reference" in filters:
            rows = self.by_reference.get(filters["reference"], [])
        return [row for row in rows if not row["deleted"] and _meets(row, filters)]

    def _kept(self, resource: str) -> dict[int, Row]:
        return {int(id): row for id, row in self.store.kept(f"{self.name}/{resource}").items()}


def _meets(row: Row, filters: dict[str, str]) -> bool:
    return all(_meets_one(row, name, value) for name, value in filters.items())


def _meets_one(row: Row, name: str, value: str) -> bool:
    if name in BOUNDS:
        time, bound = name.rsplit("_", 1)
        moment = str(row.get(time) or "")
        return moment >= value if bound == "start" else "" < moment <= value
    # A filter it does not know is ignored, as by many: who relies on one must compare what comes back.
    return name not in row or str(row[name]) == value


def _page(rows: list[Row], call: Call) -> Page:
    show = min(max(int(call.query.get("show") or DEFAULT_SHOW), 1), LARGEST_SHOW)
    sort, descending = call.query.get("sort", "id"), call.query.get("desc") in ("true", "1")
    if sort not in SORTS:
        sort = "id"
    rows = sorted(rows, key=lambda row: _place(row, sort), reverse=descending)
    if "cursor" in call.query:
        return _page_after(rows, call.query["cursor"], show, sort, descending)
    return _numbered_page(rows, max(int(call.query.get("page") or 1), 1), show)


def _page_after(rows: list[Row], cursor: str, show: int, sort: str, descending: bool) -> Page:
    if cursor:
        last = _read_cursor(cursor)
        rows = [row for row in rows if (_place(row, sort) < last if descending else _place(row, sort) > last)]
    more = len(rows) > show
    following = _cursor(_place(rows[show - 1], sort)) if more else None
    return Page(rows[:show], {"cursor": {"current": cursor or None, "next": following, "count": len(rows[:show])}})


def _cursor(place: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _read_cursor(cursor: str) -> tuple[str, str]:
    match json.loads(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True)):
        case [str(value), str(id)]:
            return value, id
    raise ValueError("not a cursor of ours")


def _numbered_page(rows: list[Row], number: int, show: int) -> Page:
    here = rows[(number - 1) * show : number * show]
    pages = max(1, -(-len(rows) // show))
    meta = {"total": len(rows), "count": len(here), "per_page": show, "current_page": number, "total_pages": pages}
    return Page(here, meta | {"links": {}})


def _place(row: Row, sort: str) -> tuple[str, str]:
    """Where a row stands in an order: its id decides between equals, so that a cursor never loses a row."""
    id = f"{row['id']:020d}"
    return (id if sort == "id" else str(row.get(sort) or "")), id


def _envelope(resource: str, status: int, data: object, meta: dict[str, Any] | None = None) -> Answer:
    success = "sucess" if resource == "activities" else "success"  # its own spelling
    return Answer(
        status, {success: True, "message": "Operação realizada com sucesso", "data": data, "meta": meta or {}}
    )


def _now() -> str:
    return datetime.now(ZONE).strftime("%Y-%m-%d %H:%M:%S")
