"""R12: twelve processes and 500 operations behind a breaker whose probe hangs. One probe at a time, and no rush."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from django.db import connections
from django.db.models.functions import Now

from apps.integrations import probing
from apps.integrations.models import CircuitBreaker, Service
from apps.jobs.models import Queue
from apps.operations import delivery
from apps.operations.models import PendingOperation
from tests.operations.conftest import receiver
from tests.simulator_process import Simulator

pytestmark = pytest.mark.django_db(transaction=True)

PROCESSES, OPERATIONS, PATIENCE_SECONDS = 12, 500, 60
HANGS, WAITS = 1.0, 1
"""So long a probe waits for its answer here, and a breaker for its next probe."""


@pytest.fixture
def breaker(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> CircuitBreaker:
    """Open, its first probe due, and its service holds every call."""
    monkeypatch.setattr(probing, "PROBE_SECONDS", HANGS)
    service = receiver(simulator)
    CircuitBreaker.objects.update(
        status="open", probe_due_at=Now(), wait_seconds=WAITS, timeout_seconds=WAITS, timeout_cap_seconds=WAITS
    )
    simulator.outage("erp", how="hang")
    return CircuitBreaker.objects.get(service=service)


@pytest.fixture
def crowd(breaker: CircuitBreaker) -> Iterator[None]:
    """Twelve processes that try to probe, and to deliver, without end."""
    queue = Queue.objects.create(slug="crm", name="What goes to the CRM")
    PendingOperation.objects.bulk_create(
        PendingOperation(service=breaker.service, queue=queue, operation_type="http.post", payload={"n": number})
        for number in range(OPERATIONS)
    )
    connections.close_all()  # each process opens its own
    own = multiprocessing.get_context("fork")
    processes = [own.Process(target=crowding, args=(queue, os.getpid())) for _number in range(PROCESSES)]
    for process in processes:
        process.start()
    yield
    for process in processes:
        process.kill()
        process.join()


def crowding(queue: Queue, parent: int) -> None:
    """What each process does, for as long as the test lives."""
    while os.getppid() == parent:
        probing.answer_breakers()
        delivery.drain(queue, seconds=0.1)


def came(simulator: Simulator, method: str) -> list[float]:
    return [call["at"] for call in simulator.requests(service="erp", method=method, limit=100_000)]


def reached(simulator: Simulator, probes: int) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while len(came(simulator, "GET")) < probes:
        assert time.monotonic() < ends, "no further probe came"
        time.sleep(0.1)


def test_of_twelve_processes_one_probes_and_nobody_rushes(
    simulator: Simulator, breaker: CircuitBreaker, crowd: None
) -> None:
    reached(simulator, 3)
    probes = came(simulator, "GET")
    # The next one goes out when this one was given up and its wait is over: never two at a time.
    assert [later - earlier for earlier, later in pairwise(probes) if later - earlier < (HANGS + WAITS) * 0.9] == []
    assert came(simulator, "POST") == []
    assert not PendingOperation.objects.filter(attempts__gt=0).exists()


def test_an_answered_probe_closes_it_and_all_is_delivered(
    simulator: Simulator, breaker: CircuitBreaker, crowd: None
) -> None:
    Service.objects.update(rate_per_second=5000, burst=5000)
    reached(simulator, 1)
    simulator.outage("erp", on=False)
    ends = time.monotonic() + PATIENCE_SECONDS
    while PendingOperation.objects.exclude(status="completed").exists():
        assert time.monotonic() < ends, "not all was delivered"
        time.sleep(0.2)
    breaker.refresh_from_db()
    assert breaker.status == "closed"
    assert simulator.ledger(service="erp")["totals"]["effects"] == OPERATIONS
