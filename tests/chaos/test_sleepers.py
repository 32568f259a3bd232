"""R06: a worker sleeps for longer than its lease, and wakes. What it held belongs to others by then."""

from collections.abc import Callable

from django.db.models import Count, QuerySet

from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.models import Attempt, PendingOperation
from tests.chaos.conftest import hand_in
from tests.chaos.fleet import Fleet, wait_until
from tests.chaos.score import FULL, Score, scored
from tests.simulator_process import Simulator

OPERATIONS, PAUSES, PACE = (5_000, 200, 9) if FULL else (500, 3, 50)


def unhurt() -> QuerySet[PendingOperation]:
    """What is under way or to come, and was not hit twice: a row hit four times is rightly taken for poison."""
    return PendingOperation.objects.filter(status__in=["pending", "processing"], crashes__lt=2)


def holders() -> list[int]:
    """The processes that hold such work now."""
    held = unhurt().filter(status="processing").values_list("worker", flat=True).distinct()
    return sorted({int(worker.rpartition(":")[2]) for worker in held})


def test_what_a_sleeper_writes_is_refused(
    simulator: Simulator,
    erp: Service,
    queue: Queue,
    fleet_of: Callable[..., Fleet],
    report: Callable[[Score], Score],
) -> None:
    simulator.conditions("erp", latency={"p50_seconds": 0.5, "p95_seconds": 0.8, "max_seconds": 1})
    erp.rate_per_second, erp.burst = PACE, PACE  # the work outlasts the pauses
    erp.save()
    hand_in(erp, queue, OPERATIONS)
    fleet, pauses = fleet_of(nodes=1, children=4), 0
    while pauses < PAUSES and unhurt().exists():
        wait_until(lambda: bool(holders()) or not unhurt().exists())
        for child in holders()[:3]:
            fleet.pause(child)
            pauses += 1
        wait_until(lambda: _woken(fleet))
    wait_until(lambda: PendingOperation.objects.filter(status="completed").count() == OPERATIONS)
    # An answer that came while its caller slept, and was written nowhere but in the history.
    refused = Attempt.objects.filter(stale=True).count()
    accepted = Attempt.objects.filter(stale=False, status_code=201).values("operation").annotate(n=Count("id"))
    score = scored("sleepers, longer than their lease", OPERATIONS, simulator, kills=pauses)
    report(score).notes = [f"{refused} stale results refused"]
    assert (score.completed, score.second_effects, score.second_keys) == (OPERATIONS, 0, 0)
    assert refused > 0
    assert not accepted.filter(n__gt=1).exists()


def _woken(fleet: Fleet) -> bool:
    fleet.wake_sleepers()
    return not fleet.stopped
