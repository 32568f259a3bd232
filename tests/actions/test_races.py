"""Several at once on real PostgreSQL: one winner, no double, nobody shown a deadlock."""

import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from apps.actions import leases
from apps.actions.actors import Actor
from apps.actions.models import ActionItem
from apps.actions.running import retrying, run
from apps.actions.selections import Selection
from apps.actions.verbs import Refused, Verb
from apps.deadletters.models import DeadLetter
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.cast import Company, complete, give_up, matching, refreshed, ticked
from tests.invariants import what_is_wrong
from tests.races import at_once, raised

pytestmark = pytest.mark.django_db(transaction=True)
retry, reset, archive = PendingOperation.retry, PendingOperation.reset, PendingOperation.archive
WHY = {"reason": "because"}


def claim_all() -> list[str]:
    """Claim ten at a time until a pass finds none; return what was claimed."""
    claimed: list[str] = []
    while taken := leases.take(
        PendingOperation.claim, PendingOperation.objects.filter(status="pending").order_by("due_at", "id"), 10
    ):
        claimed += [str(row.pk) for row in taken]
    return claimed


def test_twelve_workers_claim_each_row_once(empty_company: Company) -> None:
    empty_company.operations_of(600)
    came_to = at_once(*[claim_all] * 12)
    claims = Counter(key for claimed in came_to if isinstance(claimed, list) for key in claimed)
    assert (raised(came_to), len(claims), set(claims.values())) == ([], 600, {1})


@pytest.mark.parametrize("round_", range(10))
def test_of_two_operators_on_one_row_one_wins_and_the_other_reads_who(
    empty_company: Company, as_ana: Actor, as_root: Actor, round_: int
) -> None:
    (row,) = empty_company.failed(1)
    came_to = at_once(lambda: run(reset, ticked(row), as_ana), lambda: run(archive, ticked(row), as_root, given=WHY))
    (refused,) = raised(came_to)
    assert isinstance(refused, Refused)
    winner = "reset by ana" if refreshed([row])[0].status == "pending" else "archive by root"
    assert winner in str(refused)
    assert what_is_wrong() == []


@pytest.mark.parametrize("round_", range(5))
def test_of_two_that_pause_one_queue_one_reads_that_it_is_paused(
    empty_company: Company, as_ana: Actor, as_root: Actor, round_: int
) -> None:
    queue = Selection.ticked(Queue, [empty_company.crm.pk])
    came_to = at_once(*(lambda actor=actor: run(Queue.pause, queue, actor, given=WHY) for actor in (as_ana, as_root)))
    (refused,) = raised(came_to)
    assert "crm is paused (pause by" in str(refused)


def test_both_bulk_retries_over_the_same_rows_meet_head_on(
    empty_company: Company, as_ana: Actor, as_root: Actor
) -> None:
    empty_company.failed(1000)
    letters = Selection.matching(DeadLetter, {"status": "unresolved"})
    came_to = at_once(
        lambda: run(retry, matching(status="failed"), as_ana), lambda: run(DeadLetter.retry, letters, as_root)
    )
    moves = Counter(ActionItem.objects.filter(verb="retry").values_list("object_id", flat=True))
    assert (raised(came_to), len(moves), set(moves.values())) == ([], 1000, {1})
    assert what_is_wrong() == []


def test_verbs_against_workers_that_finish(empty_company: Company, as_ana: Actor, as_root: Actor) -> None:
    rows = empty_company.failed(400)
    came_to = at_once(
        lambda: [_pressed(retry, as_ana) for _ in range(6)],
        lambda: [_pressed(archive, as_root, **WHY) for _ in range(6)],
        lambda: [complete(rows[start::4]) for start in (0, 1)],
        lambda: [give_up(rows[start::4]) for start in (2, 3)],
    )
    assert raised(came_to) == []
    assert what_is_wrong() == []


def test_a_row_that_stays_locked_is_a_sentence(empty_company: Company, as_ana: Actor) -> None:
    rows = empty_company.failed(2)
    with transaction.atomic():
        list(PendingOperation.objects.select_for_update().filter(pk=rows[0].pk))
        (refused,) = at_once(lambda: impatient(lambda: run(retry, ticked(*rows), as_ana)))
    assert isinstance(refused, Refused)
    assert (refused.code, str(refused)[:33]) == ("busy", "Busy: somebody else is changing t")


def test_two_that_meet_head_on_are_tried_again(empty_company: Company) -> None:
    first, second = (row.pk for row in empty_company.operations_of(2))
    met = threading.Barrier(2)
    came_to = at_once(
        lambda: retrying(lambda: lock_both(met, first, second)), lambda: retrying(lambda: lock_both(met, second, first))
    )
    assert raised(came_to) == []


def lock_both(met: threading.Barrier, *keys: UUID) -> None:
    """Lock two rows, one after the other, so that two who do it the other way round cannot both get there."""
    with transaction.atomic():
        for key in keys:
            PendingOperation.objects.select_for_update().get(pk=key)
            try:
                met.wait(timeout=0.5)
            except threading.BrokenBarrierError:
                continue


def impatient(work: Callable[[], object]) -> object:
    """Do the work on a connection that waits for no lock."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '20ms'")
    return work()


def _pressed(verb: Verb, actor: Actor, **given: str) -> object:
    try:
        return run(verb, matching(), actor, given=given)
    except Refused as refused:
        return refused


def test_a_retry_finds_it_due_by_one_whose_clock_is_ahead(company: Company, as_ana: Actor) -> None:
    operation, moment = company.operations["pending"][0], Now() + dt.timedelta(seconds=1)
    PendingOperation.objects.filter(pk=operation.pk).update(due_at=moment, updated_at=moment)
    with pytest.raises(Refused, match="already due"):
        run(retry, ticked(operation), as_ana)
