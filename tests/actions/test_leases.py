import datetime as dt
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from apps.actions import leases
from apps.actions.models import history_of
from apps.operations.models import PendingOperation
from tests.cast import Company, letter_of, refreshed, take
from tests.races import at_once

FOUND = {"remote_id": "4711", "remote_url": "", "result": None}
REFUSED = {
    "used": 1,
    "failure_class": "permanent_data",
    "error_type": "HTTP 422",
    "last_error": "no",
    "error_fields": {},
}


def due() -> QuerySet[PendingOperation]:
    return PendingOperation.objects.filter(status="pending", due_at__lte=Now()).order_by("due_at", "id")


def lapse(operations: list[PendingOperation]) -> QuerySet[PendingOperation]:
    rows = PendingOperation.objects.filter(pk__in=[row.pk for row in operations])
    rows.update(lease_until=Now() - dt.timedelta(seconds=1))
    return rows


def test_a_claim_holds_its_rows_under_one_token(empty_company: Company) -> None:
    empty_company.operations_of(3)
    taken = leases.take(PendingOperation.claim, due(), 10)
    assert (len(taken), len({row.token for row in taken})) == (3, 1)
    assert {row.status for row in taken} == {"processing"}


def test_each_claim_has_a_token_of_its_own(empty_company: Company) -> None:
    empty_company.operations_of(2)
    (first,), (second,) = (leases.take(PendingOperation.claim, due(), 1) for _ in "ab")
    assert first.token != second.token


def test_a_claim_takes_what_is_due_longest(empty_company: Company) -> None:
    later, sooner = empty_company.operations_of(2)
    PendingOperation.objects.filter(pk=sooner.pk).update(due_at=Now() - dt.timedelta(minutes=5))
    assert leases.take(PendingOperation.claim, due(), 1) == [sooner]
    assert later.status == "pending"


def test_a_claim_moves_only_from_the_states_of_its_step(company: Company) -> None:
    everything = PendingOperation.objects.order_by("id")
    assert {row.pk for row in leases.take(PendingOperation.claim, everything, 100)} == {
        row.pk for name in ("pending", "elsewhere") for row in company.operations[name]
    }


@pytest.mark.django_db(transaction=True)
def test_a_claim_steps_over_rows_that_another_holds(empty_company: Company) -> None:
    empty_company.operations_of(4)
    with transaction.atomic():
        held = list(due().select_for_update()[:2])
        (claimed,) = at_once(lambda: leases.take(PendingOperation.claim, due(), 4))
    assert isinstance(claimed, list)
    assert {row.pk for row in claimed}.isdisjoint(row.pk for row in held)
    assert len(claimed) == 2


def test_a_heartbeat_prolongs_what_is_held(empty_company: Company) -> None:
    rows = empty_company.operations_of(2)
    token, keys = take(rows)
    before = refreshed(rows)[0].lease_until
    assert leases.renew(PendingOperation, [token], dt.timedelta(hours=1)) == set(keys)
    after = refreshed(rows)[0].lease_until
    assert before is not None
    assert after is not None
    assert after > before


def test_a_heartbeat_does_not_bring_back_what_has_lapsed(empty_company: Company) -> None:
    rows = empty_company.operations_of(2)
    token, _keys = take(rows)
    lapse(rows[:1])
    assert leases.renew(PendingOperation, [token]) == {rows[1].pk}


def test_a_stamp_marks_only_what_is_still_held(empty_company: Company) -> None:
    rows = empty_company.operations_of(2)
    token, keys = take(rows)
    lapse(rows[:1])
    assert leases.stamp(PendingOperation, "called_at", keys, [token]) == {rows[1].pk}


def test_a_finish_writes_each_rows_own_values(empty_company: Company) -> None:
    rows = empty_company.operations_of(2)
    token, keys = take(rows)
    leases.finish(PendingOperation.complete, {key: FOUND | {"remote_id": str(key)} for key in keys}, token)
    assert all(row.remote_id == str(row.pk) and row.attempts == 1 for row in refreshed(rows))


def test_a_finish_lets_the_rows_go(empty_company: Company) -> None:
    (row,) = rows = empty_company.operations_of(1)
    token, keys = take(rows)
    leases.finish(PendingOperation.complete, dict.fromkeys(keys, FOUND), token)
    (row,) = refreshed(rows)
    assert (row.status, row.token, row.worker, row.lease_until) == ("completed", None, "", None)


def test_a_stale_finish_is_refused(empty_company: Company) -> None:
    rows = empty_company.operations_of(1)
    stale, keys = take(rows)
    leases.rescue(PendingOperation.rescue, lapse(rows))
    take(rows)
    assert leases.finish(PendingOperation.complete, dict.fromkeys(keys, FOUND), stale) == []
    assert refreshed(rows)[0].status == "processing"


def test_a_finish_after_the_rescue_is_refused_though_nobody_took_it_again(empty_company: Company) -> None:
    rows = empty_company.operations_of(1)
    stale, keys = take(rows)
    leases.rescue(PendingOperation.rescue, lapse(rows))
    assert leases.finish(PendingOperation.fail, dict.fromkeys(keys, REFUSED), stale) == []


def test_a_finish_writes_those_it_still_holds(empty_company: Company) -> None:
    rows = empty_company.operations_of(2)
    token, keys = take(rows)
    leases.rescue(PendingOperation.rescue, lapse(rows[:1]))
    assert leases.finish(PendingOperation.complete, dict.fromkeys(keys, FOUND), token) == [rows[1].pk]


def test_a_rescue_leaves_held_rows_alone(empty_company: Company) -> None:
    rows = empty_company.operations_of(2)
    take(rows)
    lapse(rows[:1])
    assert leases.rescue(PendingOperation.rescue, PendingOperation.objects.all()) == [rows[0].pk]


def test_a_rescue_is_told_in_the_history_of_the_row(empty_company: Company) -> None:
    (row,) = rows = empty_company.operations_of(1)
    take(rows)
    leases.rescue(PendingOperation.rescue, lapse(rows))
    item = history_of(row.pk).get()
    assert (item.verb, item.from_status, item.to_status, item.run) == ("rescue", "processing", "pending", None)


def test_a_burial_says_why_and_opens_the_dead_letter(empty_company: Company) -> None:
    (row,) = rows = empty_company.operations_of(1)
    take(rows)
    leases.rescue(PendingOperation.bury, lapse(rows), last_error="it took its worker down")
    letter = letter_of(row)
    assert (letter.failure_class, letter.message) == ("poison", "it took its worker down")


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ("just words", "just words"),
        (7, 7),
        (True, True),
        ([1, "two"], [1, "two"]),
        ({"nul": "a\0b", "half": "\ud800"}, {"nul": "a�b", "half": "?"}),
        ({"x": float("nan"), "y": float("-inf")}, {"x": "NaN", "y": "-Infinity"}),
        ({"path": "C:\\u0000"}, {"path": "C:\\u0000"}),
        (None, None),
    ],
)
def test_whatever_a_far_end_answers_can_be_kept(empty_company: Company, answer: Any, kept: Any) -> None:
    rows = empty_company.operations_of(1)
    token, keys = take(rows)
    leases.finish(PendingOperation.complete, {key: FOUND | {"result": answer} for key in keys}, token)
    assert refreshed(rows)[0].result == kept


def test_an_error_text_that_no_column_takes_is_kept_as_far_as_it_goes(empty_company: Company) -> None:
    rows = empty_company.operations_of(1)
    token, keys = take(rows)
    told: dict[UUID, Any] = {key: REFUSED | {"last_error": "a\0b \udcff"} for key in keys}
    leases.finish(PendingOperation.fail, told, token)
    assert refreshed(rows)[0].last_error == "a�b ?"
