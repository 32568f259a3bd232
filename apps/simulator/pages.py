"""Pages for people. They say that a simulator answers, and show what it has done."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from aiohttp import web

from apps.simulator.vendors.piperun import REQUIRED, Piperun
from apps.simulator.world import WORLD, World

STYLE = Path(__file__).with_name("page.css")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
NOUNS = {"deals": "deal", "persons": "person", "companies": "company", "notes": "note", "activities": "activity"}
NEWEST = 20


async def home(request: web.Request) -> web.Response:
    """What is played, and the newest deals."""
    world = request.app[WORLD]
    services = [(name, *_numbers(world, name)) for name in world.services]
    deals = list(_piperun(world).rows["deals"].values())[: -NEWEST - 1 : -1]
    return _page(
        "Simulator",
        _table(("Service", "Calls", "Effects", "In flight", "State"), services),
        "<h2>Newest deals</h2>",
        _linked_table([(f"deals/{deal['id']}", str(deal["title"])) for deal in deals]),
    )


async def record(request: web.Request) -> web.Response:
    """One row of the CRM, and the calls that made it."""
    world, resource, id = request.app[WORLD], request.match_info["resource"], int(request.match_info["id"])
    row = _piperun(world).rows[resource].get(id)
    if row is None:
        raise web.HTTPNotFound(text=f"The simulator has no {NOUNS[resource]} {id}.")
    return _page(
        f"{NOUNS[resource].capitalize()} {id}",
        *[_story(world, entry["subject"], NOUNS[resource]) for entry in _entries(world, f"{resource}/{id}")],
        _table(("Field", "Value"), [(name, value) for name, value in row.items()]),
    )


async def style(request: web.Request) -> web.Response:
    """The one style sheet."""
    return web.Response(text=STYLE.read_text(), content_type="text/css")


def _entries(world: World, record: str) -> list[Any]:
    return world.ledger.entries("piperun", record=record)


def _story(world: World, reference: str, noun: str) -> str:
    [entry] = world.ledger.entries("piperun", reference=reference)
    keys = "the same key" if entry["keys"] == 1 else f"{entry['keys']} different keys"
    done = _count(entry["created"], noun) if entry["created"] else _count(entry["effects"], "change")
    words = f"{done}, {_count(entry['calls'], 'call')}, {keys}"
    records = ", ".join(_link(record) for record in entry["records"])
    state = "double" if entry["created"] > 1 else "single"
    return f'<p class="story" data-state="{state}"><strong>{escape(words)}</strong> {escape(reference)}: {records}</p>'


def _count(number: int, noun: str) -> str:
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number} {noun if number == 1 else plural}"


def _numbers(world: World, name: str) -> tuple[int, int, int, str]:
    totals, weather = world.ledger.totals(name), world.services[name].weather
    return totals["calls"], totals["effects"], weather.in_flight, f"down ({how})" if (how := weather.outage()) else "up"


def _piperun(world: World) -> Piperun:
    vendor = world.service("piperun").vendor
    assert isinstance(vendor, Piperun)  # noqa: S101 - by the catalogue
    return vendor


def _table(heads: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(_text(value))}</td>' for value in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _linked_table(rows: list[tuple[str, str]]) -> str:
    body = "".join(f"<tr><td>{_link(record)}</td><td>{escape(title)}</td></tr>" for record, title in rows)
    return f"<table><tbody>{body}</tbody></table>" if rows else "<p>None yet.</p>"


def _link(record: str) -> str:
    return f'<a href="/piperun/{escape(record)}">{escape(record)}</a>'


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _page(title: str, *parts: str) -> web.Response:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    told = "A simulator answers here. Nothing on this page is a real customer, and nothing left this machine."
    body = f'<p class="told">{told}</p><p><a href="/">Simulator</a></p><h1>{escape(title)}</h1>{"".join(parts)}'
    page = f'<!doctype html><html lang="en"><head>{head}<link rel="stylesheet" href="/style.css"></head><body><main>{body}</main></body></html>'
    return web.Response(
        body=page.encode("utf-8", "replace"), content_type="text/html", charset="utf-8", headers=HEADERS
    )


ROUTES = [
    web.get("/", home),
    web.get("/style.css", style),
    web.get(f"/piperun/{{resource:{'|'.join(REQUIRED)}}}/{{id:[0-9]{{1,15}}}}", record),
]
