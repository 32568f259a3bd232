"""Two batches at once, each with a connection of its own: whatever befalls either, the run stands where the first one ended."""

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from apps.actions import leases, pacing, pairs, running, statements
from apps.actions.actors import Actor
from apps.actions.models import ActionItem, ActionRun
from apps.actions.selections import Selection
from apps.actions.verbs import Verb
from apps.deadletters.models import DeadLetter
from apps.operations.models import PendingOperation
from tests.cast import UNANSWERED, Company, matching
from tests.invariants import what_is_wrong
from tests.races import at_once, raised

pytestmark = pytest.mark.django_db(transaction=True)
retry, reset = PendingOperation.retry, PendingOperation.reset

KILLED = """
import os, signal, sys
import django
from django.conf import settings
settings.DATABASES["default"]["NAME"] = sys.argv[1]
django.setup()
from apps.actions import pacing, pairs
pacing.BATCH = 3
told, before = [], getattr(pairs, sys.argv[2])
def dies(*words):
    told.append(words)
    if len(told) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return before(*words)
setattr(pairs, sys.argv[2], dies)
pacing.take_turn()
"""


@pytest.fixture
def rows(empty_company: Company, monkeypatch: pytest.MonkeyPatch) -> list[PendingOperation]:
    """Seven failed operations, and batches of three."""
    monkeypatch.setattr(running, "IN_REQUEST", 1)
    monkeypatch.setattr(pacing, "BATCH", 3)
    return empty_company.failed(7)


@pytest.fixture
def waiting(rows: list[PendingOperation], as_ana: Actor) -> ActionRun:
    return running.run(retry, matching(status="failed"), as_ana)


@pytest.fixture
def one_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn ends with the first two batches."""
    monkeypatch.setattr(pacing, "TURN_SECONDS", 0)


@pytest.mark.usefixtures("one_pair")
def test_two_batches_are_one_step(waiting: ActionRun) -> None:
    assert [turn(waiting), turn(waiting)] == [6, 7]
    assert (waiting.status, retried(), what_is_wrong()) == ("watching", 7, [])


@pytest.mark.usefixtures("one_pair")
def test_what_is_not_committed_is_walked_one_by_one(waiting: ActionRun) -> None:
    with transaction.atomic():
        assert turn(waiting) == 3


def test_dead_letters_move_two_batches_at_once(rows: list[PendingOperation], as_ana: Actor) -> None:
    letters = running.run(DeadLetter.retry, Selection.matching(DeadLetter, {"status": "unresolved"}), as_ana)
    assert (turn(letters), retried(), what_is_wrong()) == (7, 7, [])


@pytest.mark.usefixtures("one_pair")
def test_where_the_second_fails_the_first_stands(waiting: ActionRun, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(statements, "follow", failing(in_second=True))
        assert (turn(waiting), retried(), what_is_wrong()) == (3, 3, [])
    assert [turn(waiting), retried(), what_is_wrong()] == [7, 7, []]


def test_a_second_that_failed_is_done_in_its_turn(waiting: ActionRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "follow", failing(in_second=True))
    assert (turn(waiting), waiting.status, retried(), what_is_wrong()) == (7, "watching", 7, [])


def test_where_the_first_fails_nothing_is_written(waiting: ActionRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "follow", failing(in_second=False))
    with pytest.raises(RuntimeError):
        pacing.take_turn()
    waiting.refresh_from_db()
    assert (waiting.moved, waiting.walked_to, retried(), pending()) == (0, None, 0, 0)


@pytest.mark.parametrize("verb", [ActionRun.pause, ActionRun.cancel])
def test_a_pause_between_the_two_takes_the_second_back(
    waiting: ActionRun, as_ana: Actor, monkeypatch: pytest.MonkeyPatch, verb: Verb
) -> None:
    run_itself = Selection.ticked(ActionRun, [waiting.pk])
    between(monkeypatch, lambda: running.run(verb, run_itself, as_ana, given={"note": ""}))
    assert (turn(waiting), waiting.status, pending(), what_is_wrong()) == (3, verb.target, 3, [])


def test_another_worker_goes_on_behind_the_first(waiting: ActionRun, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        between(patched, lambda: take_over(waiting))
        assert (turn(waiting), pending(), what_is_wrong()) == (3, 3, [])
    lapse(waiting)
    assert (turn(waiting), retried(), what_is_wrong()) == (7, 7, [])


def test_a_locked_row_of_the_second_makes_the_run_wait_behind_the_first(
    waiting: ActionRun, rows: list[PendingOperation]
) -> None:
    assert while_held(rows[4], lambda: turn(waiting)) == [3]
    assert (waiting.status, pacing.waiting().exists(), pending(), what_is_wrong()) == ("queued", False, 3, [])


def test_a_locked_row_of_the_first_leaves_nothing_of_the_second(
    waiting: ActionRun, rows: list[PendingOperation]
) -> None:
    assert while_held(rows[1], lambda: turn(waiting)) == [0]
    assert (waiting.status, waiting.walked_to, pending(), what_is_wrong()) == ("queued", None, 0, [])


def test_who_holds_a_row_of_the_first_and_waits_for_the_second_is_let_through(
    waiting: ActionRun, rows: list[PendingOperation], monkeypatch: pytest.MonkeyPatch
) -> None:
    holds, moved = threading.Event(), threading.Event()
    in_second(monkeypatch, before=moved.set)
    came_to = at_once(lambda: lock_in_order(rows[1], rows[4], holds, moved), lambda: holds.wait(10) and turn(waiting))
    assert (raised(came_to), came_to[1], retried(), what_is_wrong()) == ([], 7, 7, [])


def test_a_row_that_comes_into_the_first_is_not_stepped_over(
    rows: list[PendingOperation], as_ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand(rows[0], "completed")
    waiting = running.run(retry, matching(status="failed"), as_ana)
    in_first(monkeypatch, lambda: at_once(lambda: stand(rows[0], "failed")))
    assert (turn(waiting), retried(), what_is_wrong()) == (7, 7, [])


@pytest.mark.usefixtures("one_pair")
def test_the_refused_of_both_are_kept_in_order_in_the_language_of_who_asked(
    rows: list[PendingOperation], empty_company: Company, as_ana: Actor
) -> None:
    PendingOperation.objects.filter(pk__in=[rows[1].pk, rows[4].pk]).update(failure_class=UNANSWERED["failure_class"])
    asked = running.run(reset, matching(status="failed"), as_ana)
    ActionRun.objects.filter(pk=asked.pk).update(language="pt-br")
    assert (turn(asked), asked.refused, list(asked.refusals.values())) == (4, 2, [2])
    assert [told["id"] for told in asked.refused_rows] == [str(rows[1].pk), str(rows[4].pk)]
    assert ["desfecho desconhecido" in told["why"] for told in asked.refused_rows] == [True, True]


@pytest.mark.parametrize(("at", "moved"), [("_have_turn", (0, 3)), ("keep_progress", (3,))])
def test_a_kill_repeats_nothing_and_loses_nothing(waiting: ActionRun, at: str, moved: tuple[int, ...]) -> None:
    """Where the second has moved its rows, and where it is about to say so."""
    words = [sys.executable, "-c", KILLED, connection.settings_dict["NAME"], at]
    assert subprocess.run(words, cwd=settings.BASE_DIR, check=False).returncode == -9  # noqa: S603 # ourselves
    waiting.refresh_from_db()
    assert waiting.moved in moved
    lapse(waiting)
    assert (turn(waiting), retried(), what_is_wrong()) == (7, 7, [])


def turn(waiting: ActionRun) -> int:
    """Let a worker have a turn; return how many rows have moved."""
    pacing.take_turn()
    waiting.refresh_from_db()
    return waiting.moved


def retried() -> int:
    return ActionItem.objects.filter(kind="operations.pendingoperation", verb="retry", run__isnull=False).count()


def pending() -> int:
    return PendingOperation.objects.filter(status="pending").count()


def stand(row: PendingOperation, status: str) -> None:
    PendingOperation.objects.filter(pk=row.pk).update(status=status)


def lapse(waiting: ActionRun) -> None:
    ActionRun.objects.filter(pk=waiting.pk).update(lease_until=Now() - leases.LEASE)


def take_over(waiting: ActionRun) -> None:
    lapse(waiting)
    leases.take(ActionRun.advance, pacing.waiting(), 1)


def is_second() -> bool:
    return threading.current_thread().name.startswith("second")


def failing(*, in_second: bool) -> Callable[..., None]:
    """Return a `statements.follow` that fails in one of the two."""
    follow = statements.follow

    def fails(*told: Any) -> None:
        if is_second() == in_second:
            raise RuntimeError("the power went out")
        follow(*told)

    return fails


def in_second(
    monkeypatch: pytest.MonkeyPatch,
    before: Callable[[], object] = lambda: None,
    after: Callable[[], object] = lambda: None,
) -> None:
    """Do something before the second waits for its turn, and after it got it."""
    have_turn = pairs._have_turn

    def has_turn(run: ActionRun) -> None:
        if is_second():
            before()
        have_turn(run)
        if is_second():
            after()

    monkeypatch.setattr(pairs, "_have_turn", has_turn)


def in_first(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something once it is known where the first ends, and before it moves a row."""
    have_turn = pairs._have_turn

    def has_turn(run: ActionRun) -> None:
        if not is_second():
            act()
        have_turn(run)

    monkeypatch.setattr(pairs, "_have_turn", has_turn)


def between(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let somebody else act once the first is written and the second is not."""
    in_second(monkeypatch, after=lambda: at_once(act))


def while_held(row: PendingOperation, work: Callable[[], int]) -> list[int | Exception]:
    """Do work that waits for no lock for long, while somebody holds a row."""

    def impatient() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '20ms'")
        return work()

    with transaction.atomic():
        list(PendingOperation.objects.select_for_update().filter(pk=row.pk))
        return at_once(impatient)


def lock_in_order(
    first: PendingOperation, second: PendingOperation, holds: threading.Event, moved: threading.Event
) -> None:
    """Lock a row, and another one once the second batch has moved it."""
    with transaction.atomic():
        PendingOperation.objects.select_for_update().get(pk=first.pk)
        holds.set()
        assert moved.wait(10)
        PendingOperation.objects.select_for_update().get(pk=second.pk)
