import pytest
from django.db.models.functions import Now

from apps.actions import leases, pacing, running, statements
from apps.actions.actors import Actor
from apps.actions.models import ActionRun
from apps.actions.pairs import Pair
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.actions.verbs import Refused, Verb
from apps.operations.models import PendingOperation
from tests.cast import Company, complete, matching

retry, archive = PendingOperation.retry, PendingOperation.archive


@pytest.fixture
def waiting(empty_company: Company, as_ana: Actor, monkeypatch: pytest.MonkeyPatch) -> ActionRun:
    """A background run over seven failed operations, released in batches of three, one batch a turn."""
    empty_company.failed(7)
    monkeypatch.setattr(running, "IN_REQUEST", 1)
    monkeypatch.setattr(pacing, "BATCH", 3)
    monkeypatch.setattr(pacing, "TURN_SECONDS", 0)
    return run(retry, matching(status="failed"), as_ana)


def test_more_rows_than_a_request_bears_wait_for_a_worker(waiting: ActionRun) -> None:
    assert (waiting.status, waiting.total, waiting.moved) == ("queued", 7, 0)


def test_a_worker_releases_it_batch_by_batch(waiting: ActionRun) -> None:
    moved = []
    while pacing.take_turn():
        waiting.refresh_from_db()
        moved.append(waiting.moved)
    assert moved == [3, 6, 7]


def test_all_rows_moved_it_watches_them_settle(waiting: ActionRun) -> None:
    finish(waiting)
    assert (waiting.status, waiting.moved) == ("watching", 7)


def test_a_batch_that_is_cut_off_leaves_nothing_half_done(waiting: ActionRun, monkeypatch: pytest.MonkeyPatch) -> None:
    pacing.take_turn()
    with monkeypatch.context() as patched:
        patched.setattr(statements, "follow", _fails)
        with pytest.raises(RuntimeError):
            pacing.take_turn()
    waiting.refresh_from_db()
    assert (waiting.moved, pending(), waiting.items.filter(verb="retry").count()) == (3, 3, 3)


def test_a_run_whose_worker_fell_silent_goes_on_where_it_stood(
    waiting: ActionRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(statements, "follow", _fails)
        with pytest.raises(RuntimeError):
            pacing.take_turn()
    lapse(waiting)
    finish(waiting)
    assert (waiting.moved, waiting.items.filter(verb="retry").count()) == (7, 7)


def test_a_run_that_fells_its_workers_is_stopped(waiting: ActionRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pair, "release", _fails)
    for _crash in range(pacing.CRASHES):
        with pytest.raises(RuntimeError):
            pacing.take_turn()
        lapse(waiting)
    pacing.take_turn()
    waiting.refresh_from_db()
    assert (waiting.status, waiting.stop_reason) == ("stopped", "Its workers fell silent 4 times over the same rows.")


def test_a_stale_worker_writes_nothing_into_a_run_that_another_holds(waiting: ActionRun) -> None:
    (stale,) = leases.take(ActionRun.advance, pacing.waiting(), 1)
    lapse(waiting)
    leases.take(ActionRun.advance, pacing.waiting(), 1)
    with pytest.raises(running.Lost):
        running.release(stale, 3)
    assert pending() == 0


def test_a_paused_run_releases_nothing_more(waiting: ActionRun, as_ana: Actor) -> None:
    pacing.take_turn()
    press(ActionRun.pause, waiting, as_ana, note="let me look")
    assert pacing.take_turn() is None
    assert (waiting.status, waiting.stop_reason, pending()) == ("paused", "let me look", 3)


def test_a_pause_in_the_middle_of_a_batch_takes_the_batch_back(
    waiting: ActionRun, as_ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    (held,) = leases.take(ActionRun.advance, pacing.waiting(), 1)
    press(ActionRun.pause, waiting, as_ana)
    with pytest.raises(running.Lost):
        running.release(held, 3)
    assert pending() == 0


def test_a_resumed_run_goes_on_where_it_stood(waiting: ActionRun, as_ana: Actor) -> None:
    pacing.take_turn()
    press(ActionRun.pause, waiting, as_ana)
    press(ActionRun.resume, waiting, as_ana)
    finish(waiting)
    assert waiting.moved == 7


def test_a_cancelled_run_keeps_what_moved_and_moves_nothing_more(waiting: ActionRun, as_ana: Actor) -> None:
    pacing.take_turn()
    press(ActionRun.cancel, waiting, as_ana)
    assert pacing.take_turn() is None
    assert (waiting.status, waiting.moved, pending()) == ("cancelled", 3, 3)


def test_what_a_person_does_to_a_run_is_an_item_of_the_run(waiting: ActionRun, as_ana: Actor) -> None:
    press(ActionRun.pause, waiting, as_ana)
    item = waiting.items.get(kind="actions.actionrun")
    assert (item.verb, item.object_id, item.actor_name) == ("pause", waiting.pk, "ana")


def test_a_finished_run_is_not_paused(waiting: ActionRun, as_ana: Actor) -> None:
    finish(waiting)
    with pytest.raises(Refused, match="is watching; pause needs queued or running"):
        press(ActionRun.pause, waiting, as_ana)


def test_rows_that_fail_again_behind_the_walk_are_not_retried_twice(waiting: ActionRun) -> None:
    pacing.take_turn()
    released = list(PendingOperation.objects.filter(status="pending"))
    PendingOperation.objects.filter(pk__in=[row.pk for row in released]).update(due_at=Now())
    complete(released)
    finish(waiting)
    assert waiting.moved == 7


def test_a_command_drives_a_run_without_a_worker(waiting: ActionRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "SHOWN_SECONDS", 0)
    assert [run.moved for run in pacing.drive(waiting)] == [3, 6, 7]


def test_of_two_runs_that_wait_each_has_its_turn(waiting: ActionRun, as_ana: Actor) -> None:
    other = run(archive, matching(status="failed"), as_ana, given={"reason": "x"})
    assert [pacing.take_turn(), pacing.take_turn()] == [waiting, other]


def test_a_run_whose_filter_lost_its_meaning_is_stopped_with_the_reason(waiting: ActionRun) -> None:
    ActionRun.objects.filter(pk=waiting.pk).update(selection={"filters": {"service": "gone"}, "asked_at": ""})
    pacing.take_turn()
    waiting.refresh_from_db()
    assert (waiting.status, waiting.stop_reason[:19]) == ("stopped", "gone is no service;")


def test_a_run_over_rows_that_stay_locked_waits_for_them(waiting: ActionRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pair, "release", _busy)
    pacing.take_turn()
    waiting.refresh_from_db()
    assert (waiting.status, pacing.waiting().exists()) == ("queued", False)


def test_a_watched_run_whose_verb_is_gone_is_closed(waiting: ActionRun) -> None:
    finish(waiting)
    ActionRun.objects.filter(pk=waiting.pk).update(verb="no_longer_declared")
    pacing.watch()
    waiting.refresh_from_db()
    assert waiting.status == "finished"


def press(verb: Verb, waiting: ActionRun, actor: Actor, **given: str) -> None:
    run(verb, Selection.ticked(ActionRun, [waiting.pk]), actor, given=given)
    waiting.refresh_from_db()


def finish(waiting: ActionRun) -> None:
    while pacing.take_turn():
        pass
    waiting.refresh_from_db()


def lapse(waiting: ActionRun) -> None:
    ActionRun.objects.filter(pk=waiting.pk).update(lease_until=Now() - leases.LEASE)


def pending() -> int:
    return PendingOperation.objects.filter(status="pending").count()


def _fails(*_told: object, **_more: object) -> None:
    raise RuntimeError("the power went out")


def _busy(*_told: object, **_more: object) -> None:
    raise Refused("Busy", code=running.BUSY)
