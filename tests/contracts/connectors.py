"""What every connector is fed: an order for each of its operations, and answers made by hand."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import requests

from apps.integrations.connectors import CONNECTORS
from apps.integrations.connectors.shape import Answer, Operation, Order, Site, Steps
from apps.integrations.outcome import Outcome

PAYLOADS: dict[str, dict[str, Any]] = {
    "deal.create": {"title": "Line X", "pipeline_id": 1, "stage_id": 10, "phone": "+5531988887777"},
    "deal.update": {"id": 1, "title": "Line Y"},
    "person.create": {"name": "Ana", "cpf": "529.982.247-25"},
    "person.update": {"id": 1, "name": "Ana Maria"},
    "company.create": {"name": "Fazenda"},
    "company.update": {"id": 1, "name": "Fazenda Boa Vista"},
    "note.create": {"text": "Called back", "deal_id": 1},
    "http.post": {"anything": ["at", "all"]},
}
"""A payload that will do, for each operation type there is."""

SITES = {
    "erp": [Site("http://erp.example.com:6017/api/millenium_eco", {"user": "sync", "password": "s3cret-word"})],
    "piperun": [Site("https://crm.example.com/v1", {"token": "f" * 32}, {"record_url": "https://crm/{resource}/{id}"})],
    "http": [
        Site("https://erp.example.com/orders", {"token": "s3cret"}),
        Site("https://erp.example.com/orders", {"token": "s3cret"}, {"honours_key": True}),
    ],
}
"""Each connector with each of its protections against doubles."""

OPERATIONS = [
    (f"{kind} {name} {operation.doubles(site.options)}", operation, site, name)
    for kind, connector in CONNECTORS.items()
    for name, operation in connector.operations.items()
    for site in SITES[kind]
]

NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)
READINGS = [(f"{kind} {name}", kind, name) for kind, connector in CONNECTORS.items() for name in connector.readings]
"""Every kind of record that is read from a service."""


def first_page(kind: str, name: str) -> Steps:
    """The steps that read the first page of a pass."""
    reading, site = CONNECTORS[kind].readings[name], SITES[kind][0]
    return reading.page(site, reading.begin({}, site.options, NOW))


def order(name: str, site: Site, **changes: Any) -> Order:
    """An order for an operation type."""
    id = "0198f2a0-0000-7000-8000-000000000001"
    return replace(Order(id, id, f"opsconsole:{id}", name, PAYLOADS[name], site), **changes)


def answer(status: int, body: object = None, **headers: str) -> requests.Response:
    """A response by hand: JSON, or text as it is."""
    response = requests.Response()
    response.status_code = status
    response._content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    response.encoding = "utf-8"
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return response


def taken() -> requests.Response:
    """The answer to a call that did what it should."""
    return answer(200, {"success": True, "message": "ok", "data": {"id": 77, "title": "Line X"}, "id": 77})


def play(steps: Steps, answers: Iterable[Answer]) -> tuple[Outcome, list[requests.Request]]:
    """Feed a connector one answer after another; its outcome, and what it asked."""
    asked: list[requests.Request] = []
    todo: list[Answer] = list(answers)
    given: Answer | None = None
    while True:
        try:
            asked.append(steps.throw(given) if isinstance(given, Exception) else steps.send(given))  # type: ignore[arg-type] # None first
        except StopIteration as end:
            return end.value, asked
        assert todo, f"it asks for more: {asked[-1].method} {asked[-1].url}"
        given = todo.pop(0)


def first_call(operation: Operation, order: Order, given: Answer) -> Outcome:
    """The outcome of an operation whose first call is answered so."""
    return play(operation.perform(order), [given])[0]
