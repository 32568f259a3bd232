"""How many operations ended, as the database counts it by the quarter of an hour."""

import datetime as dt

from django.db.models.functions import Now

from apps.actions.running import database_now, run
from apps.operations.backlog import fold_counts
from apps.operations.ended import QUARTER, deliveries, quarters
from apps.operations.models import Ended, PendingOperation
from tests.cast import ROOT, Company, complete, give_up, ticked

DAY = dt.timedelta(days=1)


def test_what_was_sent_and_what_failed_is_counted(empty_company: Company) -> None:
    rows = empty_company.operations_of(5)
    complete(rows[:3])
    give_up(rows[3:])
    assert deliveries(database_now() - DAY) == {rows[0].service_id: {"sent": 3, "failed": 2}}


def test_what_is_sent_again_or_archived_has_not_failed(empty_company: Company) -> None:
    rows = empty_company.failed(4)
    run(PendingOperation.retry, ticked(rows[0]), ROOT)
    run(PendingOperation.archive, ticked(rows[1]), ROOT, given={"reason": "no longer wanted"})
    assert deliveries(database_now() - DAY) == {rows[0].service_id: {"sent": 0, "failed": 2}}


def test_a_moment_within_a_quarter_is_kept_to_the_row(empty_company: Company) -> None:
    rows = empty_company.operations_of(4)
    complete(rows)
    begun = (
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        + (database_now() - dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) // QUARTER * QUARTER
    )
    for minutes, row in zip((2, 7, 16, 31), rows, strict=True):
        at = begun - 2 * QUARTER + dt.timedelta(minutes=minutes)
        PendingOperation.objects.filter(pk=row.pk).update(completed_at=at)
    found = deliveries(begun - 2 * QUARTER + dt.timedelta(minutes=5))
    assert found[rows[0].service_id]["sent"] == 3
    assert sorted(quarters(begun - 2 * QUARTER)["completed"].values()) == [1, 1, 2]


def test_folding_keeps_the_sums_and_forgets_what_is_old(empty_company: Company) -> None:
    for row in empty_company.operations_of(3):
        complete([row])
    service = PendingOperation.objects.all()[0].service
    Ended.objects.create(service=service, status="completed", quarter=Now() - dt.timedelta(days=2) - QUARTER, change=9)
    fold_counts()
    assert deliveries(database_now() - DAY) == {service.pk: {"sent": 3, "failed": 0}}
    assert Ended.objects.count() <= 2  # a quarter may turn in between


def test_what_is_deleted_is_counted_no_more(empty_company: Company) -> None:
    complete(empty_company.operations_of(2))
    PendingOperation.objects.all().delete()
    assert deliveries(database_now() - DAY) == {}
