"""An ERP of the Millennium kind, with a company's data for each tenant: OData-like lists over Basic authentication.

Lists by `trans_id` are in its order. Orders are listed by day, the newest first: one that comes in shifts all others, as
`$skip` over moving data does. A parameter it does not know is 400.
"""

import base64
import binascii
import json
import zlib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from apps.simulator.calls import Answer, Call
from apps.simulator.conditions import Weather
from apps.simulator.ledger import Ledger
from apps.simulator.store import Store
from apps.simulator.vendors.numbered import Listed, Numbered

KIND = "erp/tenants"
BASE = "/api/millenium_eco/"
ZONE, OFFSET = ZoneInfo("America/Sao_Paulo"), -180
BOM = b"\xef\xbb\xbf"
LISTS = ("customers", "products", "orders")
FIRST = ("Alice", "Breno", "Cecília", "Davi", "Elisa", "Fabrício", "Gabriela", "Heitor", "Isadora", "Joaquim", "Lívia")
LAST = ("Abrantes", "Bittencourt", "Cordeiro", "Damasceno", "Falcão", "Guimarães", "Lacerda", "Moura", "Pacheco")
PLACES = (("Belo Horizonte", "MG"), ("São Paulo", "SP"), ("Curitiba", "PR"), ("Recife", "PE"), ("Goiânia", "GO"))
WARES = (("Camiseta", "Roupas"), ("Calça jeans", "Roupas"), ("Tênis", "Calçados"), ("Mochila", "Acessórios"))
CHANNELS = ("Loja", "Site", "WhatsApp")
STATES = ("PAGO", "CONCLUÍDO")


class TenantAsked(BaseModel):
    """What the control door sets: how many records there are, which are broken, how it behaves. The rest stays."""

    model_config = ConfigDict(extra="forbid")

    tenant: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    customers: int | None = Field(None, ge=0, le=1_000_000)
    products: int | None = Field(None, ge=0, le=1_000_000)
    orders: int | None = Field(None, ge=0, le=1_000_000)
    orders_per_day: int | None = Field(None, ge=1, le=100_000)
    last_day: date | None = None
    """The day of the newest order; the first time it is asked for, the day before."""
    touch: dict[str, list[int]] = {}
    """Records that change now, by list; a number that is not there yet comes anew."""
    poisoned: dict[str, list[int]] | None = None
    """Records that cannot be read: their name is null, or their date is none."""
    drift: int | None = Field(None, ge=0)
    """So many of the next pages are followed by a change that shifts the list."""
    bom: bool | None = None


@dataclass
class Data:
    """What one tenant's ERP holds."""

    lists: dict[str, Numbered] = field(default_factory=dict)
    orders_per_day: int = 20
    last_day: date = date(2026, 1, 20)
    late: dict[int, str] = field(default_factory=dict)
    """Orders that came later: number -> day."""
    poisoned: dict[str, list[int]] = field(default_factory=dict)
    drift: int = 0
    bom: bool = False

    def kept(self) -> dict[str, Any]:
        """As the store keeps it."""
        plain = {name: getattr(self, name) for name in ("orders_per_day", "poisoned", "drift", "bom")}
        late = [[number, day] for number, day in self.late.items()]
        lists = {name: numbered.kept() for name, numbered in self.lists.items()}
        return plain | {"lists": lists, "last_day": self.last_day.isoformat(), "late": late}

    @classmethod
    def of(cls, kept: dict[str, Any]) -> "Data":
        """As the store kept it."""
        plain = {name: kept[name] for name in ("orders_per_day", "poisoned", "drift", "bom")}
        lists = {name: Numbered.of(one) for name, one in kept["lists"].items()}
        return cls(lists=lists, last_day=date.fromisoformat(kept["last_day"]), late=dict(kept["late"]), **plain)

    def of_day(self, day: date) -> list[int]:
        """The orders of a day, the newest first."""
        newest = self.lists["orders"].base - (self.last_day - day).days * self.orders_per_day
        base = range(newest, max(newest - self.orders_per_day, 0), -1) if day <= self.last_day else range(0)
        late = sorted((number for number, its_day in self.late.items() if its_day == day.isoformat()), reverse=True)
        return [*late, *base]

    def day_of(self, number: int) -> date:
        """The day of an order."""
        if number in self.late:
            return date.fromisoformat(self.late[number])
        return self.last_day - timedelta(days=(self.lists["orders"].base - number) // self.orders_per_day)

    def broken(self, listed: str, number: int) -> bool:
        """Whether a record cannot be read."""
        return number in self.poisoned.get(listed, ())


class Erp:
    """The ERPs of all tenants: whose data is shown, the password says."""

    def __init__(self, name: str, store: Store, ledger: Ledger, weather: Weather) -> None:
        self.name, self.store, self.ledger, self.weather = name, store, ledger, weather
        self.tenants = {tenant: Data.of(dict(kept)) for tenant, kept in store.kept(KIND).items()}

    def credential(self, call: Call) -> str:
        """The password of Basic authentication."""
        scheme, _blank, told = call.headers.get("authorization", "").partition(" ")
        try:
            return base64.b64decode(told, validate=True).decode().partition(":")[2] if scheme == "Basic" else ""
        except (binascii.Error, UnicodeDecodeError):
            return ""

    def error(self, status: int, message: str) -> Answer:
        """An OData error."""
        return Answer(status, {"error": {"code": str(status), "message": {"lang": "pt-br", "value": message}}})

    def answer(self, call: Call) -> Answer:
        """Find the list and what is asked of it."""
        if self.weather.conditions.checks_token and not call.known:
            return self.error(401, "Usuário ou senha inválidos.")
        data = self.data(call.tenant)
        match call.path.removeprefix(BASE.rstrip("/")).strip("/"):
            case "clientes/lista":
                return self._numbered(call, data, "customers", "cliente")
            case "produtos/listavitrine":
                return self._numbered(call, data, "products", "produto")
            case "pedido_venda/listafaturamentos":
                return self._of_days(call, data)
            case "pedido_venda/consulta":
                return self._one(call, data, "orders", "cod_pedidov")
            case "vitrine/listatabelas":
                return _value([{"vitrine": 1, "descricao": "Loja virtual"}], data)
        return self.error(404, "Serviço não encontrado.")

    def data(self, tenant: str) -> Data:
        """A tenant's data; a small company's at first."""
        if tenant not in self.tenants:
            lists = {"customers": Numbered(120), "products": Numbered(40), "orders": Numbered(200)}
            self.tenants[tenant] = Data(lists, last_day=datetime.now(ZONE).date() - timedelta(days=1))
        return self.tenants[tenant]

    def change(self, asked: TenantAsked) -> dict[str, object]:
        """Set what is named; return how it stands."""
        data = self.data(asked.tenant)
        for name in LISTS:
            if (count := getattr(asked, name)) is not None:
                data.lists[name] = Numbered(count)
        for name in ("orders_per_day", "last_day", "poisoned", "drift", "bom"):
            if (value := getattr(asked, name)) is not None:
                setattr(data, name, value)
        for name, numbers in asked.touch.items():
            for number in numbers:
                self._touch(data, name, number)
        self.store.keep(KIND, asked.tenant, data.kept())
        return {"tenant": asked.tenant, **data.kept()}

    def _touch(self, data: Data, listed: str, number: int) -> None:
        if listed not in data.lists:
            raise ValueError(f"There is no list {listed}; there are {', '.join(LISTS)}.")
        if listed == "orders" and number > data.lists["orders"].base:
            data.late.setdefault(number, data.last_day.isoformat())
        data.lists[listed].touch(number)

    def _drift(self, call: Call, data: Data, listed: str, day: date | None = None) -> None:
        """What nobody waits for: a record changes, or comes, between two pages."""
        if not data.drift:
            return
        data.drift -= 1
        changed = data.lists[listed].changes
        if day is None:
            data.lists[listed].touch(next((n for n in range(1, data.lists[listed].base + 1) if n not in changed), 1))
        else:
            number = max([data.lists[listed].base, *data.late]) + 1
            data.late[number] = day.isoformat()
            data.lists[listed].touch(number)
        self.store.keep(KIND, call.tenant, data.kept())

    def _numbered(self, call: Call, data: Data, listed: str, code: str) -> Answer:
        if code in call.query:
            return self._one(call, data, listed, code, "vitrine")
        if unknown := _unknown(call, "trans_id", "vitrine"):
            return self.error(400, unknown)
        found = data.lists[listed].after(_number(call, "trans_id", 0), _skip(call) + _top(call))
        answer = _value([_record(call.tenant, data, listed, one) for one in found[_skip(call) :]], data)
        self._drift(call, data, listed)
        return answer

    def _of_days(self, call: Call, data: Data) -> Answer:
        if unknown := _unknown(call, "data_emissao_inicial", "data_emissao_final", "lancamentos_pedido"):
            return self.error(400, unknown)
        try:
            day = date.fromisoformat(call.query["data_emissao_inicial"])
            if call.query["data_emissao_final"] != day.isoformat():
                return self.error(400, "O período máximo é de 24 horas.")
        except (KeyError, ValueError):
            return self.error(400, "Informe data_emissao_inicial e data_emissao_final.")
        numbers = data.of_day(day)[_skip(call) : _skip(call) + _top(call)]
        found = [one for number in numbers if (one := data.lists["orders"].get(number))]
        answer = _value([_record(call.tenant, data, "orders", one) for one in found], data)
        self._drift(call, data, "orders", day)
        return answer

    def _one(self, call: Call, data: Data, listed: str, code: str, *more: str) -> Answer:
        if unknown := _unknown(call, code, *more):
            return self.error(400, unknown)
        told = call.query.get(code, "").removeprefix("P")
        one = data.lists[listed].get(int(told)) if told.isascii() and told.isdecimal() and len(told) < 12 else None
        return _value([_record(call.tenant, data, listed, one)] if one else [], data)


def _record(tenant: str, data: Data, listed: str, one: Listed) -> dict[str, Any]:
    seed = zlib.crc32(f"{tenant}/{listed}/{one.number}".encode())
    broken = data.broken(listed, one.number)
    if listed == "customers":
        return _customer(tenant, one, seed, broken)
    return _product(one, seed, broken) if listed == "products" else _order(tenant, data, one, seed, broken)


def _customer(tenant: str, one: Listed, seed: int, broken: bool) -> dict[str, Any]:
    city, state = PLACES[(seed + one.version) % len(PLACES)]
    name = f"{FIRST[seed % len(FIRST)]} {LAST[seed // 16 % len(LAST)]}"
    return {
        "cliente": one.number,
        "nome": None if broken else name,
        "e_mail": f"cliente{one.number}@{tenant}.example",
        "fone": f"+55319{seed % 10**8:08d}",
        "aniversario": _stamp(date(1950 + seed % 50, 1 + seed % 12, 1 + seed % 28)),
        "cidade": city,
        "estado": state,
        "data_cadastro": _stamp(date(2020 + seed % 6, 1 + seed // 7 % 12, 1 + seed // 11 % 28)),
        "trans_id": one.revision,
    }


def _product(one: Listed, seed: int, broken: bool) -> dict[str, Any]:
    ware, kind = WARES[seed % len(WARES)]
    return {
        "produto": one.number,
        "descricao1": None if broken else f"{ware} {one.number}",
        "tipo": kind,
        "preco1": 20 + seed % 300 + one.version,
        "ativo": True,
        "trans_id": one.revision,
    }


def _order(tenant: str, data: Data, one: Listed, seed: int, broken: bool) -> dict[str, Any]:
    items = [_item(seed + place) for place in range(1 + seed % 3)]
    return {
        "cod_pedidov": f"P{one.number}",
        "e_mail": f"cliente{1 + seed % 100}@{tenant}.example",
        "data_emissao": "ontem" if broken else _stamp(data.day_of(one.number), 8 + seed % 10),
        "total": sum(item["preco"] for item in items),
        "canal": CHANNELS[seed % len(CHANNELS)],
        "situacao": STATES[(seed + one.version) % len(STATES)],
        "itens": items,
    }


def _item(seed: int) -> dict[str, Any]:
    ware, kind = WARES[seed % len(WARES)]
    return {"descricao": ware, "preco": 20 + seed % 300, "quantidade": 1, "tipo": kind}


def _stamp(day: date, hour: int = 0) -> str:
    moment = datetime.combine(day, time(hour), timezone(timedelta(minutes=OFFSET))).astimezone(UTC)
    return f"/Date({round(moment.timestamp() * 1000)}{OFFSET:+d})/"


def _value(rows: list[Any], data: Data) -> Answer:
    if not data.bom:
        return Answer(200, {"value": rows})
    body = BOM + json.dumps({"value": rows}, ensure_ascii=False).encode()
    return Answer(200, body, {"Content-Type": "application/json; charset=utf-8"})


def _unknown(call: Call, *known: str) -> str:
    unknown = sorted(set(call.query) - {"$format", "$skip", "$top", *known})
    return f"Parâmetro desconhecido: {unknown[0]}" if unknown else ""


def _number(call: Call, name: str, default: int) -> int:
    told = call.query.get(name, "")
    return int(told) if told.isascii() and told.isdecimal() and len(told) < 19 else default


def _skip(call: Call) -> int:
    return _number(call, "$skip", 0)


def _top(call: Call) -> int:
    return min(_number(call, "$top", 50), 1000)
