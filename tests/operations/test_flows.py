"""What comes into a queue and what leaves it, as the database counts it."""

import datetime as dt

import pytest
from django.db import connection
from django.db.models import Sum
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from apps.actions import leases
from apps.actions.running import database_now, run
from apps.jobs.lanes import MINUTES, Lane, Standing, standings
from apps.jobs.models import Queue
from apps.operations import places
from apps.operations.backlog import fold_counts
from apps.operations.lanes import lanes
from apps.operations.models import Flow, PendingOperation
from tests.cast import ROOT, Company, complete, give_up, take, ticked


def flow(queue: Queue) -> dict[str, int]:
    """How many came and went."""
    return dict(Flow.objects.filter(queue=queue).values_list("way").annotate(Sum("change")))


def standing(queue: Queue, waiting: int, lane: Lane) -> Standing:
    return Standing(queue, waiting, None, lane, database_now())


def lane(queue: Queue) -> Lane:
    return lanes([queue.pk], database_now())[queue.pk]


def test_what_is_handed_in_comes_and_what_ends_goes(empty_company: Company) -> None:
    rows = empty_company.operations_of(5)
    complete(rows[:2])
    give_up(rows[2:3])
    assert flow(empty_company.crm) == {"in": 5, "out": 3}


def test_what_is_sent_again_comes_anew(empty_company: Company) -> None:
    rows = empty_company.failed(3)
    run(PendingOperation.retry, ticked(*rows), ROOT)
    assert flow(empty_company.crm) == {"in": 6, "out": 3}


def test_a_call_that_is_tried_again_later_neither_comes_nor_goes(empty_company: Company) -> None:
    (row,) = empty_company.operations_of(1)
    token, keys = take([row])
    leases.finish(PendingOperation.release, {key: {} for key in keys}, token)
    assert flow(empty_company.crm) == {"in": 1}


def test_folding_keeps_the_sums_and_forgets_what_is_old(empty_company: Company) -> None:
    complete(empty_company.operations_of(3))
    empty_company.operations_of(2)
    Flow.objects.create(queue=empty_company.crm, minute=Now() - dt.timedelta(hours=3), way="in", change=9)
    fold_counts()
    assert flow(empty_company.crm) == {"in": 5, "out": 3}
    assert Flow.objects.count() <= 4  # a minute may turn in between


def test_folding_does_not_write_anew_what_is_alone_in_its_place(empty_company: Company) -> None:
    minute = Now() - dt.timedelta(hours=1)
    row = Flow.objects.create(queue=empty_company.crm, minute=minute, way="in", change=9)
    fold_counts()
    assert Flow.objects.get().pk == row.pk


def test_rates_are_those_of_the_last_minutes(empty_company: Company) -> None:
    queue = empty_company.crm
    for minutes, way, change in ((2, "in", 50), (3, "out", 20), (30, "in", 900)):
        minute = database_now().replace(second=0, microsecond=0) - dt.timedelta(minutes=minutes)
        Flow.objects.create(queue=queue, minute=minute, way=way, change=change)
    found = lane(queue)
    assert 50 / 6 <= found.came <= 50 / 5
    assert 20 / 6 <= found.went <= 20 / 5
    assert (len(found.by_minute), sum(found.by_minute)) == (MINUTES, 930)


def test_places_that_are_taken_are_workers_at_it(empty_company: Company) -> None:
    places.take(empty_company.crm)
    assert (lane(empty_company.crm).at_work, lane(empty_company.books).at_work) == (1, 0)


@pytest.mark.parametrize(("came", "went", "seconds"), [(0, 50, 120), (30, 50, 300), (50, 50, None), (60, 50, None)])
def test_the_time_to_drain_is_told_by_what_goes_beyond_what_comes(
    empty_company: Company, came: float, went: float, seconds: float | None
) -> None:
    found = standing(empty_company.crm, waiting=100, lane=Lane(came, went, [0] * MINUTES))
    assert found.drained_in_seconds == seconds


def test_a_queue_s_past_is_reckoned_back_from_now(empty_company: Company) -> None:
    found = standing(empty_company.crm, waiting=10, lane=Lane(by_minute=[0, 4, 8, -2]))
    assert found.past == [0, 4, 12, 10]


def test_the_number_of_queries_does_not_grow_with_the_queues(company: Company) -> None:
    Queue.objects.bulk_create(Queue(slug=f"q{number}", name="more") for number in range(20))
    with CaptureQueriesContext(connection) as asked:
        standings(list(Queue.objects.all()), database_now())
    assert len(asked) <= 8
