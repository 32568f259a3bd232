"""The control door, `/__sim__/`: faults, conditions, tokens, and what was recorded. JSON in, JSON out, checked."""

import asyncio
import ipaddress
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError

from apps.simulator.conditions import How
from apps.simulator.faults import ANY_FAULT
from apps.simulator.sender import EventsAsked, Sender
from apps.simulator.vendors.erp import Erp, TenantAsked
from apps.simulator.vendors.internal import ChangesAsked, Internal
from apps.simulator.world import WORLD, World

SERVICE = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
POLL_SECONDS = 0.01


class Asked(BaseModel):
    """What a request of the control door says; a name it does not know is an error, not a silence."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class LedgerAsked(Asked):
    """`by` is `reference`, `record`, or a field of the body: operations are told apart by it."""

    service: str = ""
    by: str = Field("reference", pattern=r"^\w+$")
    reference: str = ""


class RequestsAsked(Asked):
    """`path` is a glob; `after` is the id of the last one seen."""

    service: str = ""
    method: str = ""
    path: str = ""
    tenant: str = ""
    reference: str = ""
    after: int = Field(0, ge=0, lt=2**63)
    limit: int = Field(1000, ge=1, le=100_000)


class PaceAsked(Asked):
    """`since` in seconds since 1970."""

    service: str = ""
    method: str = ""
    since: float = 0


class WaitAsked(Asked):
    """All of the numbers named must be reached."""

    service: str = ""
    calls: int = 0
    effects: int = 0
    in_flight: int = 0
    seconds: float = Field(10, gt=0, le=300)


class OutageAsked(Asked):
    """Down, for a time or until it is ended; or up again."""

    service: str = SERVICE
    on: bool
    how: How = "unavailable"
    seconds: PositiveFloat | None = None


class RotationAsked(Asked):
    """A new token, made or given; the old one is dead."""

    service: str = SERVICE
    tenant: str = ""
    token: str | None = Field(None, min_length=8, max_length=200, pattern=r"^[!-~]+$")


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Work = Callable[[World, web.Request], Awaitable[object]]


def door(work: Work) -> Handler:
    """A handler that answers what `work` returns, and a clear refusal where the request will not do."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if not _is_loopback(request.url.host or ""):
            return _refused(403, "The control door answers on loopback names only.")
        try:
            return web.json_response(await work(request.app[WORLD], request))
        except ValidationError as error:
            return _refused(422, "The request will not do: see errors.", _errors(error))
        except (ValueError, RecursionError) as error:
            return _refused(400, str(error))

    return handle


async def index(world: World, request: web.Request) -> object:
    """What there is."""
    return {"simulated": True, "seed": world.seed, "described_in": "docs/simulator.md"}


async def list_faults(world: World, request: web.Request) -> object:
    """Those that stand, with their counts."""
    return {"faults": [one.described() for one in world.faults.standing.values()]}


async def add_fault(world: World, request: web.Request) -> object:
    """Set one."""
    return world.faults.add(ANY_FAULT.validate_python(await _body(request))).described()


async def drop_faults(world: World, request: web.Request) -> object:
    """Take all away, or the one of a number."""
    return {"dropped": world.faults.clear(request.match_info.get("id"))}


async def reset(world: World, request: web.Request) -> object:
    """As on the first day."""
    await _body(request)
    world.reset()
    return {"reset": True}


async def list_requests(world: World, request: web.Request) -> object:
    """The calls as they came, secrets hashed."""
    return {"requests": world.ledger.recorded(**RequestsAsked.model_validate(dict(request.query)).model_dump())}


async def show_ledger(world: World, request: web.Request) -> object:
    """Per operation: calls, effects, keys; and which of them were done twice."""
    asked = LedgerAsked.model_validate(dict(request.query))
    entries = world.ledger.entries(**asked.model_dump())
    doubles = [entry for entry in entries if entry["created"] > 1]
    return {"totals": world.ledger.totals(asked.service), "doubles": doubles, "entries": entries}


async def show_pace(world: World, request: web.Request) -> object:
    """Calls per second."""
    seconds = world.ledger.pace(**PaceAsked.model_validate(dict(request.query)).model_dump())
    return {"seconds": seconds, "peak": max((second["calls"] for second in seconds), default=0)}


async def show_state(world: World, request: web.Request) -> object:
    """How every service is doing."""
    return {"seed": world.seed, "services": {name: _service(world, name) for name in world.services}}


async def wait(world: World, request: web.Request) -> object:
    """Answers when the numbers are reached, or the time is over."""
    asked = WaitAsked.model_validate(dict(request.query))
    until = time.monotonic() + asked.seconds
    while not (reached := _reached(world, asked)) and time.monotonic() < until:
        await asyncio.sleep(POLL_SECONDS)
    return {"reached": reached, **_counts(world, asked.service)}


async def show_service(world: World, request: web.Request) -> object:
    """The conditions of one."""
    return _service(world, request.match_info["service"])


async def change_service(world: World, request: web.Request) -> object:
    """Change the conditions that are named."""
    body = await _body(request)
    if not isinstance(body, dict):
        raise ValueError("The body must be a JSON object.")
    world.set_conditions(request.match_info["service"], body)
    return _service(world, request.match_info["service"])


async def outage(world: World, request: web.Request) -> object:
    """Break a service, or mend it."""
    asked = OutageAsked.model_validate(await _body(request))
    until = None if asked.seconds is None else time.time() + asked.seconds
    world.set_conditions(asked.service, {"outage": {"how": asked.how, "until": until} if asked.on else None})
    return _service(world, asked.service)


async def list_tokens(world: World, request: web.Request) -> object:
    """Those alive. They open nothing but the simulator."""
    return {"tokens": world.tokens.all()}


async def rotate_token(world: World, request: web.Request) -> object:
    """The old one is dead at once."""
    asked = RotationAsked.model_validate(await _body(request))
    return {"service": asked.service, "tenant": asked.tenant, "token": world.tokens.rotate(**asked.model_dump())}


async def change_erp(world: World, request: web.Request) -> object:
    """Set what a tenant's ERP holds and how it behaves."""
    asked, vendor = TenantAsked.model_validate(await _body(request)), world.service("millennium").vendor
    assert isinstance(vendor, Erp)  # noqa: S101 - by the catalogue
    return vendor.change(asked)


async def change_records(world: World, request: web.Request) -> object:
    """Set what one of the company's own systems tells of."""
    asked = ChangesAsked.model_validate(await _body(request))
    vendor = world.service(asked.service).vendor
    assert isinstance(vendor, Internal)  # noqa: S101 - by its name
    return vendor.change(asked)


async def send_events(world: World, request: web.Request) -> object:
    """Send events to a door; answers when the last is answered."""
    return await Sender(EventsAsked.model_validate(await _body(request)), world.seed).send()


def _service(world: World, name: str) -> dict[str, object]:
    conditions = world.service(name).weather.conditions.model_dump()
    return {"service": name, **_counts(world, name), "conditions": conditions}


def _counts(world: World, name: str) -> dict[str, int]:
    flying = sum(one.weather.in_flight for one in world.services.values() if name in ("", one.name))
    return {**world.ledger.totals(name), "in_flight": flying}


def _reached(world: World, asked: WaitAsked) -> bool:
    counts = _counts(world, asked.service)
    return all(counts[name] >= getattr(asked, name) for name in counts)


async def _body(request: web.Request) -> Any:
    # A page elsewhere cannot send this type without asking first: nobody's browser is made to press these buttons.
    if request.content_type != "application/json":
        raise ValueError("Send JSON with Content-Type: application/json.")
    try:
        return json.loads(await request.text())
    except ValueError as error:
        raise ValueError(f"The body is not JSON: {error}") from error


def _errors(error: ValidationError) -> list[dict[str, str]]:
    return [{"field": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in error.errors()]


def _refused(status: int, detail: str, errors: list[dict[str, str]] | None = None) -> web.Response:
    return web.json_response({"status": status, "detail": detail, "errors": errors or []}, status=status)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


NAME = "{service:[a-z0-9][a-z0-9_-]{0,63}}"
ROUTES = [
    web.get("/__sim__/", door(index)),
    web.get("/__sim__/faults", door(list_faults)),
    web.post("/__sim__/faults", door(add_fault)),
    web.delete("/__sim__/faults", door(drop_faults)),
    web.delete("/__sim__/faults/{id}", door(drop_faults)),
    web.post("/__sim__/reset", door(reset)),
    web.get("/__sim__/requests", door(list_requests)),
    web.get("/__sim__/ledger", door(show_ledger)),
    web.get("/__sim__/pace", door(show_pace)),
    web.get("/__sim__/wait", door(wait)),
    web.get("/__sim__/state", door(show_state)),
    web.get(f"/__sim__/services/{NAME}", door(show_service)),
    web.patch(f"/__sim__/services/{NAME}", door(change_service)),
    web.post("/__sim__/outage", door(outage)),
    web.get("/__sim__/tokens", door(list_tokens)),
    web.post("/__sim__/tokens", door(rotate_token)),
    web.post("/__sim__/events", door(send_events)),
    web.post("/__sim__/erp", door(change_erp)),
    web.post("/__sim__/changes", door(change_records)),
]
