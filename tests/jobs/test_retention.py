import datetime as dt
import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection
from pytest_django import Settings

from apps.actions.models import ActionItem
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.actions.verbs import Refused
from apps.jobs import partitions, purging, retention
from apps.jobs.catalogue import PARTED
from apps.jobs.models import Job, JobRun, RetentionPolicy
from apps.jobs.tasks import sweep
from apps.operations.models import EditRule, PayloadVersion
from tests.cast import ROOT
from tests.jobs.aged import action_run, ago, attempt, event, item, job_run, letter, operation, policy, purge, there

pytestmark = pytest.mark.django_db


def ticked(slug: str) -> Selection:
    return Selection.ticked(RetentionPolicy, [policy(slug).pk])


# What stays


@pytest.mark.parametrize("status", ["received", "processing", "failed"])
def test_an_event_that_is_not_processed_stays_however_old(status: str) -> None:
    old = event(400, status)
    purge()
    assert there(old)


@pytest.mark.parametrize("status", ["pending", "processing", "failed"])
def test_an_operation_that_is_not_settled_stays_however_old(status: str) -> None:
    old = operation(400, status)
    purge()
    assert there(old)


@pytest.mark.parametrize("status", ["unresolved", "retrying"])
def test_a_dead_letter_in_the_inbox_stays_however_old(status: str) -> None:
    old = letter(400, status)
    purge()
    assert there(old)


def test_an_event_stays_while_an_operation_of_it_is_under_way() -> None:
    old = event(60)
    operation(60, "pending", event=old)
    purge("processed-events")
    assert there(old)


def test_an_event_goes_and_its_completed_operation_forgets_it() -> None:
    old = event(60)
    made = operation(60, event=old)
    purge("processed-events")
    made.refresh_from_db()
    assert (there(old), made.event_id) == (False, None)


def test_an_operation_whose_confirmation_is_awaited_stays() -> None:
    old = operation(400, confirm_asked_at=ago(0))
    purge("completed-operations")
    assert there(old)


def test_the_payloads_of_an_operation_go_with_it() -> None:
    old = operation(400)
    version = PayloadVersion.objects.create(operation=old, number=1, payload={})
    purge("completed-operations")
    assert (there(old), there(version)) == (False, False)


def test_a_run_stays_until_its_items_have_gone() -> None:
    old = action_run(800)
    young = item(1, run=old)
    purge("action-runs")
    assert there(old)
    ActionItem.objects.filter(pk=young.pk).update(created_at=ago(800))
    purge("history", "action-runs")
    assert (there(young), there(old)) == (False, False)


def test_the_items_of_a_run_that_is_under_way_stay() -> None:
    old = item(800, run=action_run(800, "paused"))
    purge("history")
    assert there(old)


def test_the_rule_of_an_edit_under_way_stays() -> None:
    rule = EditRule.objects.create(id=policy("history").pk, patch=[])
    EditRule.objects.update(created_at=ago(800))
    action_run(1, "paused", given={"rule": str(rule.pk)})
    purge("edit-rules")
    assert there(rule)


def test_a_failed_job_run_stays_until_it_is_settled() -> None:
    old = job_run(400, "failed")
    purge("job-runs")
    assert there(old)


def test_the_last_success_of_a_job_stays() -> None:
    first, last = job_run(400, "succeeded"), job_run(300, "succeeded")
    purge("job-runs")
    assert (there(first), there(last)) == (False, True)


def test_a_run_goes_with_its_rerun_and_a_later_one_forgets_it() -> None:
    first = job_run(400, "succeeded")
    second, last = (job_run(days, "succeeded", rerun_of=first) for days in (399, 1))
    purge("job-runs")
    last.refresh_from_db()
    assert (there(first), there(second), last.rerun_of_id) == (False, False, None)


def test_the_attempts_of_an_operation_that_is_not_settled_stay() -> None:
    old = attempt(40, operation(40, "failed"))
    purge("attempts")
    assert there(old)


# Tables that are parted by time


def part_of(days: int) -> str:
    """Make the part of a day that is over, as time makes them."""
    day = ago(days).date()
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE attempts_past PARTITION OF operations_attempt FOR VALUES FROM ('{day} 00:00Z') TO ('{day + dt.timedelta(1)} 00:00Z')"
        )
    return "attempts_past"


def parts() -> set[str]:
    parted = next(each for each in PARTED if each.table == "operations_attempt")
    return {part.name for part in partitions.partitions(parted)}


def test_attempts_have_a_part_for_each_day() -> None:
    assert len([name for name in parts() if name.removeprefix("operations_attempt_").isdigit()]) == 8


@pytest.mark.django_db(transaction=True)
def test_a_part_that_is_old_as_a_whole_is_dropped() -> None:
    name = part_of(40)
    old = attempt(40)
    assert purge("attempts").counts == {"attempts": 1}
    assert (there(old), name in parts()) == (False, False)


def test_a_part_with_what_is_needed_stays_and_loses_the_rest() -> None:
    name = part_of(40)
    old, needed = attempt(40), attempt(40, operation(40, "failed"))
    assert purge("attempts").counts == {"attempts": 1}
    assert (there(old), there(needed), name in parts()) == (False, True, True)


def test_a_part_that_is_not_old_as_a_whole_stays() -> None:
    name = part_of(30)
    purge("attempts")
    assert name in parts()


# How it goes


@pytest.mark.django_db(transaction=True)
def test_many_rows_go_in_batches_and_none_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "FIRST", 3)
    monkeypatch.setattr(purging, "LARGEST", 3)
    old = [event(40 + number / 100) for number in range(10)]
    stays = [event(40 + number / 100, "failed") for number in range(5)]
    assert purge("processed-events").counts == {"processed-events": 10}
    assert ([there(row) for row in old], [there(row) for row in stays]) == ([False] * 10, [True] * 5)


@pytest.mark.parametrize(("others_wait", "rests"), [(False, [0.6]), (True, [0.4, 0.4, 0.4])])
def test_it_rests_after_a_second_of_work_or_once_others_wait(
    monkeypatch: pytest.MonkeyPatch, others_wait: bool, rests: list[float]
) -> None:
    for name in ("FIRST", "SMALLEST", "LARGEST"):
        monkeypatch.setattr(purging, name, 1)
    [event(40 + days) for days in range(2)]
    clock, slept = itertools.count(step=0.4), list[float]()
    monkeypatch.setattr(purging, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=slept.append))
    monkeypatch.setattr(purging, "_others_wait", lambda: others_wait)
    purge("processed-events")
    assert slept == pytest.approx(rests)


@pytest.mark.parametrize(
    "error", [OperationalError("canceling statement due to statement timeout"), IntegrityError("still referenced")]
)
def test_a_batch_that_takes_too_long_or_is_needed_just_now_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    old, tries, delete = event(40), [], purging._delete

    def slow(model: Any, picked: purging.Sql) -> tuple[int, int]:
        tries.append(model)
        if len(tries) == 1:
            raise error
        return delete(model, picked)

    monkeypatch.setattr(purging, "_delete", slow)
    assert purge("processed-events").status == "succeeded"
    assert (len(tries), there(old)) == (2, False)


def test_a_purge_that_cannot_go_on_says_so_and_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    old, letters, delete = event(40), letter(100), purging._delete

    def stuck(model: Any, picked: purging.Sql) -> tuple[int, int]:
        if model is type(old):
            raise OperationalError("lock timeout")
        return delete(model, picked)

    monkeypatch.setattr(purging, "_delete", stuck)
    record = purge("processed-events", "archived-dead-letters")
    assert (record.status, there(old), there(letters)) == ("failed", True, False)
    assert "Processed events: lock timeout" in record.last_error
    assert policy("processed-events").last_error == "Processed events: lock timeout"


@pytest.mark.parametrize(
    "given", [{"days": 0}, {"days": -3}, {"days": "30"}, {"days": True}, {"policies": "history"}, {"policies": ["x"]}]
)
def test_a_run_that_is_asked_for_wrongly_deletes_nothing(given: dict[str, Any]) -> None:
    old = event(4000)
    record = purge(**given)
    assert (record.status, record.error_type, there(old)) == ("failed", "bad_request", True)


# People and their policies


def test_purge_now_queues_a_run_of_the_policy() -> None:
    run(RetentionPolicy.purge, ticked("sessions"), ROOT)
    queued = JobRun.objects.get(job__slug="cleanup")
    assert (queued.status, queued.given, queued.asked_by) == ("queued", {"policies": ["sessions"]}, "root")


def test_purge_now_is_refused_while_the_job_is_paused() -> None:
    job = Job.objects.get(slug="cleanup")
    run(Job.pause, Selection.ticked(Job, [job.pk]), ROOT, given={"reason": "year-end"})
    with pytest.raises(Refused, match="cleanup is paused: year-end"):
        run(RetentionPolicy.purge, ticked("sessions"), ROOT)


def test_a_hold_ends_by_itself() -> None:
    run(RetentionPolicy.hold, ticked("sessions"), ROOT, given={"reason": "audit", "until": ago(-1)})
    RetentionPolicy.objects.filter(slug="sessions").update(held_until=ago(1))
    sweep()
    assert (policy("sessions").status, policy("sessions").held_reason) == ("active", "")


def test_migrate_makes_what_is_missing_and_changes_nothing() -> None:
    RetentionPolicy.objects.filter(slug="sessions").update(days=9)
    RetentionPolicy.objects.filter(slug="history").delete()
    assert retention.make_missing() == 1
    assert (policy("sessions").days, policy("history").days) == (9, 730)


def test_the_runbooks_days_are_the_defaults() -> None:
    told = dict(RetentionPolicy.objects.values_list("slug", "days"))
    assert (told["processed-events"], told["archived-dead-letters"], told["job-runs"]) == (30, 90, 90)


def test_the_environment_wins_over_the_row(settings: Settings) -> None:
    old = job_run(20)
    settings.RETENTION_DAYS_JOBRUN = 15
    assert retention.days_of(policy("job-runs")) == 15
    purge("job-runs")
    assert not there(old)


# The countdown


def test_an_archived_row_says_when_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_known_until", 0.0)
    row = letter(78)
    moment = retention.leaving(row)
    assert moment is not None
    assert dt.timedelta(days=11) < moment - ago(0) <= dt.timedelta(days=12)


def test_a_row_that_is_not_archived_says_nothing() -> None:
    assert retention.leaving(letter(78, "unresolved")) is None
    assert retention.leaving(operation(78)) is None


def test_nothing_is_said_while_the_policy_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    run(RetentionPolicy.hold, ticked("archived-dead-letters"), ROOT, given={"reason": "audit"})
    monkeypatch.setattr(retention, "_known_until", 0.0)
    assert retention.leaving(letter(78)) is None


def test_cleanup_is_run_every_day() -> None:
    job = Job.objects.get(slug="cleanup")
    slots = [slot for slot, _number in zip(job.schedule.after(ago(0)), range(3), strict=False)]
    assert [later - earlier for earlier, later in itertools.pairwise(slots)] == [dt.timedelta(days=1)] * 2
