"""R11, R12: a service is down while work for it waits. One probe at a time decides, and no attempt is burnt."""

import time
from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise

import pytest
from django.db.models import Sum

from apps.integrations.models import CircuitBreaker, Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.chaos.conftest import hand_in
from tests.chaos.fleet import Fleet, wait_until
from tests.chaos.score import FULL, Score, scored
from tests.simulator_process import Simulator

OPERATIONS, PROBES, DOWN_SECONDS = (5_000, 12, 180) if FULL else (500, 2, 0)
WINDOW = 2
RATE, BURST = (200, 50) if FULL else (100, 20)


@pytest.fixture
def breaker(erp: Service) -> CircuitBreaker:
    """It waits two seconds for its first probe, and four at most."""
    CircuitBreaker.objects.update(timeout_seconds=WINDOW, timeout_cap_seconds=WINDOW * 2)
    return CircuitBreaker.objects.get(service=erp)


def opened(breaker: CircuitBreaker) -> bool:
    breaker.refresh_from_db()
    return breaker.status != CircuitBreaker.Status.CLOSED


def calls(simulator: Simulator, method: str) -> list[float]:
    """When each of them came."""
    return [call["at"] for call in simulator.requests(service="erp", method=method, limit=100_000)]


def most_in_a_second(came: list[float]) -> int:
    """The most calls that came within one second, however the seconds are cut."""
    return max(bisect_right(came, moment + 1) - number for number, moment in enumerate(came))


def all_completed() -> bool:
    return not PendingOperation.objects.exclude(status="completed").exists()


def test_while_it_is_down_only_probes_go_out(
    simulator: Simulator,
    queue: Queue,
    breaker: CircuitBreaker,
    fleet_of: Callable[..., Fleet],
    report: Callable[[Score], Score],
) -> None:
    Service.objects.update(rate_per_second=RATE, burst=BURST)
    simulator.outage("erp")
    hand_in(breaker.service, queue, OPERATIONS)
    fleet_of(nodes=2, children=3)
    ends = time.monotonic() + DOWN_SECONDS
    wait_until(lambda: opened(breaker) and not PendingOperation.objects.filter(status="processing").exists())
    burnt = len(calls(simulator, "POST"))
    wait_until(lambda: len(calls(simulator, "GET")) >= PROBES and time.monotonic() >= ends, DOWN_SECONDS + 180)
    assert len(calls(simulator, "POST")) == burnt
    assert PendingOperation.objects.aggregate(used=Sum("attempts"))["used"] == burnt
    simulator.outage("erp", on=False)
    wait_until(all_completed)
    probes = calls(simulator, "GET")
    assert most_in_a_second(calls(simulator, "POST")[burnt:]) <= (RATE + BURST) * 1.1
    report(scored("outage", OPERATIONS, simulator)).notes = [f"{len(probes)} probes", f"{burnt} calls before it opened"]
    assert all(later - earlier >= WINDOW for earlier, later in pairwise(probes))


def test_a_probe_whose_worker_died_frees_the_breaker(
    simulator: Simulator, queue: Queue, breaker: CircuitBreaker, fleet_of: Callable[..., Fleet]
) -> None:
    simulator.outage("erp", how="hang")
    Service.objects.update(deadline_seconds=1)
    hand_in(breaker.service, queue, 20)
    fleet = fleet_of(nodes=2, children=2)
    wait_until(lambda: CircuitBreaker.objects.filter(probe_token__isnull=False).exists())
    for node in fleet.nodes:
        fleet.kill_node(node)
    simulator.outage("erp", on=False)
    wait_until(all_completed)
    assert not opened(breaker)
