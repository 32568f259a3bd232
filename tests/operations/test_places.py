"""How many drain a queue at once, and what a wake-up costs that finds nothing to do."""

import pytest
from pytest_django.fixtures import DjangoAssertNumQueries

from apps.integrations.models import Service
from apps.jobs.models import Queue, Tenant
from apps.operations import places, tasks
from apps.operations.models import Attempt, PendingOperation, Place
from tests.operations.conftest import hand_in

pytestmark = pytest.mark.django_db(transaction=True)


def lapse() -> None:
    Place.objects.filter(kept_until__isnull=False).update(kept_until="2000-01-01T00:00:00Z")


def test_a_queue_has_as_many_places_as_its_concurrency(queue: Queue) -> None:
    taken = [places.take(queue) for _ in range(3)]
    assert [token is None for token in taken] == [False, False, True]
    assert places.free(queue) == 0


def test_a_place_that_was_left_is_free(queue: Queue) -> None:
    token = places.take(queue)
    assert token
    places.leave(token)
    assert places.free(queue) == queue.concurrency


def test_a_place_that_was_handed_on_is_taken_by_whom_it_was_handed_to(queue: Queue) -> None:
    first, _second = places.take(queue), places.take(queue)
    successor = places.take(queue, handed_on=first)
    assert successor
    assert successor != first
    assert places.take(queue, handed_on=first) is None


def test_the_place_of_a_lost_worker_lapses(queue: Queue) -> None:
    places.take(queue), places.take(queue)
    lapse()
    assert places.free(queue) == queue.concurrency
    assert places.take(queue)


def test_a_place_that_is_kept_does_not_lapse(queue: Queue) -> None:
    token = places.take(queue)
    assert token
    lapse()
    places.keep(token)
    assert places.free(queue) == queue.concurrency - 1


def test_a_smaller_concurrency_counts_at_once(queue: Queue) -> None:
    places.take(queue), places.take(queue)
    lapse()
    queue.concurrency = 1
    assert (bool(places.take(queue)), places.take(queue)) == (True, None)


def test_a_wake_up_for_a_queue_that_others_drain_makes_no_call(erp: Service, queue: Queue) -> None:
    hand_in(erp, queue)
    places.take(queue), places.take(queue)
    tasks.drain(queue.slug)
    assert not Attempt.objects.exists()


def test_a_wake_up_delivers_and_frees_its_place(erp: Service, queue: Queue) -> None:
    [operation] = hand_in(erp, queue)
    tasks.drain(queue.slug)
    operation.refresh_from_db()
    assert operation.status == "completed"
    assert places.free(queue) == queue.concurrency


def test_an_empty_queue_costs_a_look(queue: Queue, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_max_num_queries(7):
        tasks.drain(queue.slug)
    assert places.free(queue) == queue.concurrency


def test_work_of_a_paused_tenant_wakes_nobody(erp: Service, queue: Queue) -> None:
    tenant = Tenant.objects.create(slug="north", name="North", status="paused")
    hand_in(erp, queue, tenant=tenant)
    tasks.drain(queue.slug)
    assert PendingOperation.objects.get().status == "pending"
