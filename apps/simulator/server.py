"""The web server: how one call goes, from its arrival to its answer."""

from collections.abc import Iterable

from aiohttp import web

from apps.simulator import control, pages
from apps.simulator.calls import Answer, Call, read_json, writable
from apps.simulator.conditions import How, pause
from apps.simulator.faults import Cut, Scene, cut, hang
from apps.simulator.standing import Standing
from apps.simulator.vendors.internal import NAMES
from apps.simulator.world import VENDORS, WORLD, Service, World

LARGEST_BODY = 16 * 1024 * 1024
PREFIXES = {"piperun": "/piperun/v1/", "millennium": "/millennium/api/millenium_eco/"}
"""Where the services of a shape of their own are played."""
NAME = "{service:[a-z0-9][a-z0-9_-]{0,63}}"


def application(world: World) -> web.Application:
    """Everything that is answered."""
    app = web.Application(client_max_size=LARGEST_BODY)
    app[WORLD] = world
    app.on_response_prepare.append(_say_so)
    app.add_routes(control.ROUTES)
    app.add_routes(pages.ROUTES)
    app.router.add_route("*", "/{service:piperun}{path:/v1/.*}", _serve)
    app.router.add_route("*", "/{service:millennium}{path:/api/millenium_eco/.*}", _serve)
    app.router.add_route("*", f"/internal/{{service:{'|'.join(NAMES)}}}{{path:(/.*)?}}", _serve)
    app.router.add_route("*", f"/http/{NAME}{{path:(/.*)?}}", _serve_receiver)
    return app


async def _say_so(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["X-Simulated"] = "1"


async def _serve_receiver(request: web.Request) -> web.StreamResponse:
    name = request.match_info["service"]
    if name in VENDORS or name in NAMES:
        prefix = PREFIXES.get(name, f"/internal/{name}/")
        raise web.HTTPNotFound(text=f"{name} is played under {prefix}, no receiver has its name.")
    return await _serve(request)


async def _serve(request: web.Request) -> web.StreamResponse:
    world = request.app[WORLD]
    service = world.service(request.match_info["service"])
    try:
        call = _call(request, await request.read(), world, service)
    except ConnectionError:  # the caller left before it had said everything
        return web.Response()
    return await _recorded(request, world, service, call)


async def _recorded(request: web.Request, world: World, service: Service, call: Call) -> web.StreamResponse:
    ledger, status = world.ledger, None
    ledger.arrived(call)
    try:
        with service.weather.flying(), world.cut_by_reset():
            response = await _play(request, world, service, call)
            status = response.status
            return response
    except (Cut, ConnectionError):
        return web.Response()  # nobody is there to read it
    finally:
        ledger.settled(call, status)


async def _play(request: web.Request, world: World, service: Service, call: Call) -> web.StreamResponse:
    if how := service.weather.outage():
        return await _out(request, service, how)
    if service.weather.too_many():
        return _too_many(service).response()
    half = service.weather.half_latency()
    struck = world.faults.striking(call)
    early, late = (
        [one for one in struck if not one.fault.after_effect],
        [one for one in struck if one.fault.after_effect],
    )
    await pause(half)
    if response := await _strike(early, request, service, None):
        return response
    answer = service.vendor.answer(call)
    response = await _strike(late, request, service, answer)
    await pause(half)
    return response or answer.response()


async def _strike(
    faults: Iterable[Standing], request: web.Request, service: Service, answer: Answer | None
) -> web.StreamResponse | None:
    for one in faults:
        if response := await one.fault.play(Scene(request, service.vendor, one.random, answer)):
            return response
    return None


async def _out(request: web.Request, service: Service, how: How) -> web.StreamResponse:
    match how:
        case "unavailable":
            return service.vendor.error(503, "Service Unavailable").response()
        case "reset":
            raise cut(request)
        case "hang":
            return await hang(request)


def _too_many(service: Service) -> Answer:
    refused, seconds = service.vendor.error(429, "Too Many Attempts."), service.weather.conditions.retry_after_seconds
    told = {} if seconds is None else {"Retry-After": str(seconds)}
    return Answer(refused.status, refused.body, {**refused.headers, **told})


def _call(request: web.Request, body: bytes, world: World, service: Service) -> Call:
    headers = {name.lower(): writable(value) for name, value in request.headers.items()}
    query = {writable(name): writable(value) for name, value in request.query.items()}
    call = Call(0, service.name, request.method, writable(request.match_info["path"]) or "/", query, headers)
    try:
        call.body, call.payload = read_json(body)
    except ValueError:
        call.unreadable = True
    owner = world.tokens.owner(service.name, service.vendor.credential(call))
    call.known, call.tenant = owner is not None, owner or headers.get("x-tenant", "")
    return call
