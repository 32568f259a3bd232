"""R16: several beats, killed again and again beside ticker and workers: every slot becomes one run, and each run one piece of work."""

import datetime as dt
from collections.abc import Callable, Iterator

import pytest
from django.db.models import F

from apps.jobs import catalogue, scheduling
from apps.jobs.models import Job, JobRun
from tests.chaos.fleet import Fleet, Killer, until, wait_until
from tests.chaos.rounds import KINDS
from tests.chaos.score import FULL
from tests.chaos.world import World

SLOTS, BEATS, KILLS = (1_000, 5, 50) if FULL else (120, 2, 4)
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def jobs(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(catalogue, "JOBS", KINDS)
    catalogue.kinds.cache_clear()
    Job.objects.all().delete()
    scheduling.make_missing()
    yield
    catalogue.kinds.cache_clear()


def opened() -> int:
    return JobRun.objects.filter(job__slug__startswith="second-").count()


def test_every_slot_becomes_one_run(
    jobs: None, fleet_of: Callable[..., Fleet], seed: int, record_property: Callable[[str, object], None]
) -> None:
    fleet = fleet_of(nodes=1, children=2, beats=BEATS, app="tests.chaos.clockwork")
    killer = Killer(fleet, seed)
    record_property("seed", seed)
    wait_until(lambda: opened() > 0)
    for _round in until(lambda: opened() >= SLOTS and killer.kills >= KILLS):
        scheduling.open_slots()  # one more beat, and a doubled message
        if killer.kills < KILLS * opened() / SLOTS:
            killer.strike()
        fleet.wake_sleepers()
        fleet.tend()
    Job.objects.update(every_seconds=None, next_at=None)  # no further slots
    for _round in until(lambda: not JobRun.objects.filter(status__in=JobRun.UNDER_WAY).exists()):
        fleet.wake_sleepers()
        fleet.tend()
    for job in Job.objects.filter(slug__startswith="second-"):
        slots = [run.slot_at for run in JobRun.objects.filter(job=job).order_by("slot_at") if run.slot_at]
        assert slots == [slots[0] + dt.timedelta(seconds=n) for n in range(len(slots))]
    assert {*JobRun.objects.values_list("status", flat=True)} == {"succeeded"}
    assert {run.counts["done"] for run in JobRun.objects.all()} == {1}


def test_an_hour_in_which_nothing_ticked_is_noticed_and_made_up_once(
    jobs: None, fleet_of: Callable[..., Fleet]
) -> None:
    scheduling.open_slots()
    Job.objects.exclude(slug="minute").update(status="paused")
    Job.objects.filter(slug="minute").update(next_at=F("next_at") - HOUR)
    fleet_of(nodes=1, children=1, beats=2, app="tests.chaos.clockwork")
    wait_until(lambda: JobRun.objects.filter(status="succeeded").exists())
    missed = JobRun.objects.filter(status="superseded", error_type=JobRun.MISSED)
    assert missed.count() in (58, 59)  # of the hour's sixty the last is in time, or is made up
