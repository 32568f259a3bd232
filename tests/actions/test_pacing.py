import datetime as dt

import pytest
from django.db.models import F
from django.db.models.functions import Now

from apps.actions import pacing
from apps.actions.actors import Actor
from apps.actions.models import ActionRun
from apps.actions.running import Pace, run
from apps.actions.selections import Selection
from apps.operations.models import PendingOperation
from tests.cast import Company, complete, give_up, matching

retry = PendingOperation.retry


@pytest.fixture
def paced(empty_company: Company, as_ana: Actor) -> ActionRun:
    """A canaried retry of forty failed operations."""
    empty_company.failed(40)
    return run(retry, matching(status="failed"), as_ana, pace=Pace())


def turn(paced: ActionRun) -> int:
    """Let the run have its next turn, though it may not be due; return how many rows moved in all."""
    ActionRun.objects.filter(pk=paced.pk).update(due_at=Now())
    pacing.take_turn()
    paced.refresh_from_db()
    return paced.moved


def released() -> list[PendingOperation]:
    return list(PendingOperation.objects.filter(status="pending").order_by("pk"))


def pass_time(paced: ActionRun, **columns: dt.timedelta) -> None:
    ActionRun.objects.filter(pk=paced.pk).update(**{name: F(name) - delta for name, delta in columns.items()})


def test_a_paced_run_begins_with_one_row(paced: ActionRun) -> None:
    assert turn(paced) == 1


def test_it_goes_no_further_before_the_one_has_settled(paced: ActionRun) -> None:
    turn(paced)
    assert turn(paced) == 1


def test_then_ten_then_the_rest(paced: ActionRun) -> None:
    stages = []
    for _stage in range(3):
        stages.append(turn(paced))
        complete(released())
    assert stages == [1, 11, 40]


def test_a_stage_waits_two_minutes_and_no_longer(paced: ActionRun) -> None:
    turn(paced)
    pass_time(paced, stage_started_at=pacing.STAGE_PATIENCE)
    assert turn(paced) == 11


def test_it_stops_when_its_canary_fails_again(paced: ActionRun) -> None:
    turn(paced)
    give_up(released())
    turn(paced)
    assert (paced.status, paced.moved) == ("stopped", 1)
    assert paced.stop_reason == "1 of 1 settled rows failed again. See why, then resume or cancel."


def test_a_few_failures_under_the_share_do_not_stop_it(paced: ActionRun) -> None:
    turn(paced)
    complete(released())
    turn(paced)
    first, *others = released()
    give_up([first])
    complete(others)
    assert turn(paced) == 40


def test_a_person_resumes_over_the_failures_they_have_seen(paced: ActionRun, as_ana: Actor) -> None:
    turn(paced)
    give_up(released())
    turn(paced)
    run(ActionRun.resume, Selection.ticked(ActionRun, [paced.pk]), as_ana)
    assert turn(paced) == 11


def test_resumed_it_still_stops_over_new_failures(paced: ActionRun, as_ana: Actor) -> None:
    turn(paced)
    give_up(released())
    turn(paced)
    run(ActionRun.resume, Selection.ticked(ActionRun, [paced.pk]), as_ana)
    turn(paced)
    give_up(released())
    turn(paced)
    assert (paced.status, paced.failed_again) == ("stopped", 11)


def test_it_waits_while_its_window_is_full(empty_company: Company, as_ana: Actor) -> None:
    empty_company.failed(40)
    paced = run(retry, matching(status="failed"), as_ana, pace=Pace(canary=False))
    ActionRun.objects.filter(pk=paced.pk).update(window=15)
    assert [turn(paced), turn(paced)] == [15, 15]
    complete(released()[:4])
    assert turn(paced) == 19


def test_a_rate_releases_what_the_time_allows(empty_company: Company, as_ana: Actor) -> None:
    empty_company.failed(40)
    paced = run(retry, matching(status="failed"), as_ana, pace=Pace(rate=2, canary=False))
    turn(paced)
    pass_time(paced, stage_started_at=dt.timedelta(seconds=4))
    assert turn(paced) in (8, 9)


def test_a_pause_saves_up_no_burst(empty_company: Company, as_ana: Actor) -> None:
    empty_company.failed(40)
    paced = run(retry, matching(status="failed"), as_ana, pace=Pace(rate=2, canary=False))
    turn(paced)
    pass_time(paced, stage_started_at=dt.timedelta(hours=1))
    assert turn(paced) == 10
    assert turn(paced) == 10


def test_a_run_that_must_wait_is_not_taken_up_at_once(paced: ActionRun) -> None:
    turn(paced)
    assert not pacing.waiting().exists()


def test_refused_rows_on_the_way_do_not_hold_up_the_canary(empty_company: Company, as_ana: Actor) -> None:
    empty_company.failed(30, failure_class="ambiguous")
    empty_company.failed(3)
    paced = run(retry, matching(status="failed"), as_ana, pace=Pace())
    assert (turn(paced), paced.refused) == (1, 30)


def test_confirmed_failed_again_and_still_open_make_the_whole(paced: ActionRun) -> None:
    turn(paced)
    complete(released())
    turn(paced)
    give_up(released()[:2])
    complete(released()[:3])
    pacing.score(paced)
    assert (paced.confirmed, paced.failed_again, paced.still_open) == (4, 2, 5)


def test_a_run_is_watched_until_all_has_settled(empty_company: Company, as_ana: Actor) -> None:
    rows = empty_company.failed(3)
    record = run(retry, matching(status="failed"), as_ana)
    complete(rows[:2])
    pacing.watch()
    record.refresh_from_db()
    assert (record.status, record.confirmed) == ("watching", 2)
    complete(rows[2:])
    pacing.watch()
    record.refresh_from_db()
    assert (record.status, record.confirmed, record.still_open) == ("finished", 3, 0)


def test_after_fifteen_minutes_it_reports_what_is_still_open(empty_company: Company, as_ana: Actor) -> None:
    empty_company.failed(3)
    record = run(retry, matching(status="failed"), as_ana)
    pass_time(record, released_at=pacing.WATCHED + dt.timedelta(seconds=1))
    pacing.watch()
    record.refresh_from_db()
    assert (record.status, record.still_open) == ("finished", 3)


def test_what_became_of_each_row_stands_on_its_item(empty_company: Company, as_ana: Actor) -> None:
    rows = empty_company.failed(2)
    record = run(retry, matching(status="failed"), as_ana)
    complete(rows[:1])
    give_up(rows[1:])
    pacing.watch()
    items = record.items.filter(verb="retry").order_by("object_id")
    assert [item.outcome for item in items] == ["confirmed", "failed_again"]


def test_many_rows_are_scored_a_few_at_a_time(
    empty_company: Company, as_ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = empty_company.failed(5)
    record = run(retry, matching(status="failed"), as_ana)
    complete(rows)
    monkeypatch.setattr(pacing, "SCORED_AT_ONCE", 2)
    pacing.score(record)
    assert record.confirmed == 5


def test_scoring_again_counts_nothing_twice(empty_company: Company, as_ana: Actor) -> None:
    rows = empty_company.failed(2)
    record = run(retry, matching(status="failed"), as_ana)
    complete(rows)
    pacing.score(record)
    pacing.score(record)
    assert record.confirmed == 2


def test_a_run_whose_score_takes_long_is_left_alone_for_a_while(
    empty_company: Company, as_ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty_company.failed(2)
    run(retry, matching(status="failed"), as_ana)
    monkeypatch.setattr(pacing, "SCORE_REST", 1e9)
    assert [pacing.watch(), pacing.watch()] == [1, 0]


def test_one_row_needs_no_canary(empty_company: Company, as_ana: Actor) -> None:
    empty_company.failed(1)
    assert run(retry, matching(status="failed"), as_ana, pace=Pace()).moved == 1
