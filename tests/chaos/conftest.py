"""Faults on real processes. Short forms by default, `make chaos` for the full ones (CHAOS=full)."""

import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from pytest_django import DjangoDbBlocker

from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.api import key_of
from tests.chaos.fleet import Fleet
from tests.chaos.score import PROPERTY, Score
from tests.chaos.web import Web
from tests.chaos.world import World, turned_to
from tests.operations.conftest import receiver
from tests.simulator_process import Simulator

LATENCY = {"p50_seconds": 0.1, "p95_seconds": 0.3, "max_seconds": 1}
PATIENT: dict[str, Any] = {"backoff_base_seconds": 0.5, "max_retries": 50}
LAST = {"chaos": 1, "browser": 2}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands in this folder, and put it behind what is fast."""
    for item in items:
        if "chaos" in item.path.parts:
            item.add_marker(pytest.mark.chaos)
            item.add_marker(pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"))
    items.sort(key=lambda item: max((number for name, number in LAST.items() if name in item.path.parts), default=0))


@pytest.fixture(scope="package")
def servers(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("chaos"))
    try:
        with django_db_blocker.unblock(), turned_to(world):
            yield world
    finally:
        world.close()


@pytest.fixture
def world(servers: World) -> World:
    """The servers, with nothing of other cases in them."""
    servers.empty()
    return servers


@pytest.fixture
def fleet_of(world: World, tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    fleets: list[Fleet] = []

    def start(**how: object) -> Fleet:
        fleets.append(Fleet(world, tmp_path, **how))  # type: ignore[arg-type] # its own words
        return fleets[-1]

    yield start
    for fleet in fleets:
        fleet.close()


@pytest.fixture
def web(world: World, tmp_path: Path) -> Iterator[Web]:
    web = Web(world, tmp_path, key_of("erp", "Supervisor"))
    yield web
    web.close()


@pytest.fixture
def queue(world: World) -> Queue:
    return Queue.objects.create(slug="crm", name="What goes to the CRM", concurrency=12)


@pytest.fixture
def erp(simulator: Simulator, world: World) -> Service:
    """A far end that honours our key, and takes a while before and after it acts."""
    simulator.conditions("erp", latency=LATENCY)
    return receiver(simulator)


@pytest.fixture
def piperun(simulator: Simulator, queue: Queue) -> Service:
    folder = Path(settings.DATA_DIR, "credentials")
    folder.mkdir(parents=True, exist_ok=True)
    Path(folder, "CHAOS_TOKEN").write_text(simulator.token())
    return Service.objects.create(
        slug="piperun",
        name="The CRM",
        connector="piperun",
        base_url=simulator.piperun,
        allowed_networks=["127.0.0.0/8"],
        credentials={"token": "CHAOS_TOKEN"},
        rate_per_second=5000,
        burst=5000,
        **PATIENT,
    )


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Iterator[Callable[[Score], Score]]:
    """Show a line at the end of the session, whatever becomes of the test."""
    scores: list[Score] = []

    def add(score: Score) -> Score:
        scores.append(score)
        return score

    yield add
    request.node.user_properties.extend((PROPERTY, vars(score)) for score in scores)


@pytest.fixture
def seed() -> int:
    """What everything random in a case comes from; CHAOS_SEED repeats one."""
    return int(os.environ.get("CHAOS_SEED", random.randrange(10**6)))  # noqa: S311 # no secret


def hand_in(service: Service, queue: Queue, count: int, first: int = 0) -> list[PendingOperation]:
    """Take in operations whose payload's `n` is theirs alone."""
    return PendingOperation.objects.bulk_create(
        PendingOperation(service=service, queue=queue, operation_type="http.post", payload={"n": n})
        for n in range(first, first + count)
    )


def deals(service: Service, queue: Queue, count: int) -> list[PendingOperation]:
    return PendingOperation.objects.bulk_create(
        PendingOperation(
            service=service,
            queue=queue,
            operation_type="deal.create",
            payload={"title": f"Deal {n}", "n": n, "pipeline_id": 1, "stage_id": 10},
            max_retries=50,
        )
        for n in range(count)
    )
