"""R18: the clock of one host is an hour off. Leases, due times and slots go by the database's clock alone."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.db.models import F, Max
from django.db.models.functions import Now

from apps.actions.models import ActionItem
from apps.integrations.models import Service
from apps.jobs.models import Job, Queue
from apps.operations.models import PendingOperation
from tests.chaos.conftest import hand_in
from tests.chaos.fleet import Fleet, wait_until
from tests.chaos.score import FULL, Score, scored
from tests.simulator_process import Simulator

OPERATIONS, SLOTS = (1_000, 60) if FULL else (150, 4)
EVERY = dt.timedelta(seconds=5)


@pytest.fixture
def job(world: object) -> Job:
    Job.objects.all().delete()
    return Job.objects.create(slug="cleanup", name="Often", every_seconds=5, overlap=Job.Overlap.WAIT)


@pytest.mark.parametrize("hours", [1, -1])
def test_a_host_whose_clock_is_off_does_nothing_early_and_nothing_twice(
    simulator: Simulator,
    erp: Service,
    queue: Queue,
    job: Job,
    fleet_of: Callable[..., Fleet],
    report: Callable[[Score], Score],
    hours: int,
) -> None:
    # Calls outlast a third of a lease, so that leases are renewed while they are under way.
    simulator.conditions("erp", latency={"p50_seconds": 2, "p95_seconds": 3, "max_seconds": 3})
    hand_in(erp, queue, OPERATIONS)
    later = [row.pk for row in hand_in(erp, queue, 20, first=OPERATIONS)]
    PendingOperation.objects.filter(pk__in=later).update(due_at=Now() + 2 * EVERY)
    fleet_of(nodes=1)
    fleet_of(nodes=1, app="tests.chaos.shifted", CLOCK_OFF_BY=str(hours * 3600))
    wait_until(lambda: not PendingOperation.objects.exclude(status="completed").exists(), 600 if FULL else 180)
    wait_until(lambda: job.runs.filter(status="succeeded").count() >= SLOTS, 600 if FULL else 180)

    rescued = ActionItem.objects.filter(verb__in=["rescue", "doubt", "bury"]).count()
    early = PendingOperation.objects.filter(pk__in=later, completed_at__lt=F("due_at")).count()
    slots = [slot for slot in job.runs.order_by("slot_at").values_list("slot_at", flat=True) if slot]
    early_slots = job.runs.filter(created_at__lt=F("slot_at")).count()
    score = report(scored(f"a clock {hours:+} h off", OPERATIONS + 20, simulator))
    score.notes = [f"{rescued} rescued early, {early + early_slots} begun early, {len(slots)} slots, each once"]
    assert (score.completed, score.called_twice, score.second_keys) == (OPERATIONS + 20, 0, 0)
    assert (rescued, early, early_slots) == (0, 0, 0)
    assert PendingOperation.objects.aggregate(most=Max("crashes"))["most"] == 0
    assert slots == [slots[0] + n * EVERY for n in range(len(slots))]
