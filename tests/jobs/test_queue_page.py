"""The page of a queue: its numbers, and what to do where it grows (S1-72 to S1-76)."""

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.actions.running import database_now, run
from apps.integrations import breakers, limits
from apps.integrations.models import CircuitBreaker, Service
from apps.jobs.advice import advice
from apps.jobs.lanes import standings
from apps.jobs.models import Process, Queue, Tenant
from apps.operations import places
from apps.operations.models import Attempt
from tests.cast import ROOT, Company
from tests.contracts.world import one

DRAINS = ["drains"]
HELD = {"reason": "they moved"}


@pytest.fixture
def page(client: Client, ana: User) -> Client:
    client.force_login(ana)
    return client


@pytest.fixture
def growing(empty_company: Company) -> Company:
    """More waits for Piperun than the queue's limit allows, and workers are there."""
    Queue.objects.filter(pk=empty_company.crm.pk).update(most_waiting=2)
    empty_company.crm.refresh_from_db()
    empty_company.operations_of(3)
    for kind in ("worker", "ticker", "beat"):
        Process.objects.create(
            name=f"vm:{kind}", kind=kind, node=f"{kind}@vm", holders=[f"vm:{kind}", f"vm:{kind}1"], queues=DRAINS
        )
    return empty_company


def address(queue: Queue) -> str:
    return f"/admin/jobs/queue/{queue.pk}/change/"


def told(queue: Queue) -> list[str]:
    queue.refresh_from_db()
    return [each.words for each in advice(standings([queue], database_now())[queue.pk])]


def called(service: Service, milliseconds: int, company: Company) -> None:
    Attempt.objects.create(operation=company.operation(), service=service, duration_ms=milliseconds)


def test_the_page_shows_the_numbers(page: Client, growing: Company) -> None:
    panel = page.get(address(growing.crm)).context["panel"]
    tiles = {tile["label"]: tile["words"] if "words" in tile else tile["value"] for tile in panel["tiles"]}
    assert (tiles["Waiting"], tiles["All out in"], tiles["Workers at it"]) == (3, "never", "0 of 2")
    assert "It grows: more than 2 wait" in panel["standing"]


def test_the_moving_part_answers_alone(page: Client, growing: Company) -> None:
    answer = page.get(address(growing.crm), headers={"HX-Target": "queue-live"}).content.decode()
    assert 'id="queue-live"' in answer
    assert "<html" not in answer


def test_the_moving_part_is_closed_to_who_may_not_look(client: Client, caio: User, growing: Company) -> None:
    client.force_login(caio)
    assert client.get(address(growing.crm), headers={"HX-Target": "queue-live"}).status_code == 404


def test_the_page_keeps_its_number_of_queries(page: Client, growing: Company) -> None:
    page.get(address(growing.crm))
    with CaptureQueriesContext(connection) as few:
        page.get(address(growing.crm))
    growing.operations_of(50)
    with CaptureQueriesContext(connection) as many:
        page.get(address(growing.crm))
    assert len(many) == len(few) <= 40


def test_a_queue_that_keeps_up_needs_no_advice(empty_company: Company) -> None:
    empty_company.operations_of(3)
    assert told(empty_company.crm) == []


def test_a_row_that_is_overdue_makes_a_queue_grow(empty_company: Company) -> None:
    empty_company.operation(due_at=Now() - dt.timedelta(seconds=90))
    assert "No worker runs" in told(empty_company.crm)[0]


def test_without_workers_it_says_how_to_start_one(growing: Company) -> None:
    Process.objects.all().delete()
    (words,) = told(growing.crm)
    assert "No worker runs" in words
    assert "docker compose up -d worker" in words


def test_a_worker_that_only_carries_jobs_drains_no_queue(growing: Company) -> None:
    Process.objects.filter(kind="worker").update(queues=["jobs"])
    assert "No worker runs" in told(growing.crm)[0]


def test_workers_that_fell_silent_are_named(growing: Company) -> None:
    Process.objects.filter(kind="worker").update(beat_at=Now() - dt.timedelta(minutes=3))
    first, second = told(growing.crm)
    assert "No worker runs" in first
    assert "worker@vm has been silent for 3" in second


def test_one_silent_worker_beside_a_live_one_is_named(growing: Company) -> None:
    Process.objects.create(
        name="vm:9", kind="worker", node="other@vm", queues=DRAINS, beat_at=Now() - dt.timedelta(minutes=3)
    )
    assert "other@vm has been silent" in told(growing.crm)[-1]


def test_a_missing_tick_is_told(growing: Company) -> None:
    Process.objects.filter(kind="beat").delete()
    assert "Beat or the ticker does not run" in told(growing.crm)[0]


def test_a_paused_queue_says_so_and_nothing_else(growing: Company) -> None:
    run(Queue.pause, one(Queue, growing.crm), ROOT, given=HELD)
    (words,) = told(growing.crm)
    assert "It is paused" in words


def test_a_paused_service_is_told_with_its_reason(growing: Company) -> None:
    run(Service.pause, one(Service, growing.piperun), ROOT, given=HELD)
    assert told(growing.crm)[0] == "piperun is paused and 3 wait for it: they moved"


def test_an_open_breaker_is_told_with_its_reason(growing: Company) -> None:
    breakers.trip(CircuitBreaker.objects.get(service=growing.piperun), "5 calls in a row failed", 75)
    assert told(growing.crm)[0] == (
        "The circuit breaker of piperun is open and 3 wait behind it: 5 calls in a row failed"
    )


def test_a_service_that_asked_us_to_wait_is_told(growing: Company) -> None:
    limits.hold(growing.piperun, 60, "Too many requests")
    assert "piperun asked us to wait until" in told(growing.crm)[0]


def test_a_service_at_its_limit_is_told_with_the_limit(growing: Company) -> None:
    Service.objects.filter(pk=growing.piperun.pk).update(rate_per_second=0.01)
    for _call in range(3):
        called(growing.piperun, 100, growing)
    assert "piperun is at its limit: 0.01 of 0.01 calls a second" in told(growing.crm)[0]


def test_a_slow_service_is_told_with_the_middle_of_its_call_times(growing: Company) -> None:
    for milliseconds in (100, 2500, 9000):
        called(growing.piperun, milliseconds, growing)
    assert "piperun: a call takes 2.5 s" in told(growing.crm)[0]


def test_a_service_that_nobody_called_is_told(growing: Company) -> None:
    assert "No call went to piperun for five minutes, and 3 wait for it" in told(growing.crm)[0]


def test_taken_places_are_told(growing: Company) -> None:
    for _worker in range(2):
        places.take(growing.crm)
    assert any("All its 2 places are taken" in words for words in told(growing.crm))


def test_busy_workers_are_told_with_the_command_that_adds_more(growing: Company) -> None:
    growing.operation(status="processing", worker="vm:worker1", lease_until=Now() + dt.timedelta(minutes=1))
    assert any("The 1 process of the workers is busy" in words for words in told(growing.crm))
    assert any("manage.py workers scale 2" in words for words in told(growing.crm))


def test_rows_of_a_paused_tenant_are_told(growing: Company) -> None:
    acme = Tenant.objects.create(slug="acme", name="Acme")
    growing.operations_of(4, tenant=acme)
    run(Tenant.pause, one(Tenant, acme), ROOT, given=HELD)
    assert any("4 of the rows that wait longest are of acme, which is paused" in words for words in told(growing.crm))


def test_the_list_says_which_queue_grows_and_why(page: Client, growing: Company) -> None:
    (banner,) = page.get("/admin/jobs/queue/").context["growing"]
    assert banner["words"].startswith("crm grows: 3 wait. No call went to piperun")
    assert banner["url"] == address(growing.crm)


def test_limits_are_a_supervisor_s_to_change(page: Client, growing: Company) -> None:
    form: dict[str, Any] = {"slug": "crm", "name": "CRM", "concurrency": 2, "most_waiting": 50}
    page.post(address(growing.crm), form | {"longest_wait_seconds": 30})
    growing.crm.refresh_from_db()
    assert (growing.crm.most_waiting, growing.crm.longest_wait_seconds) == (50, 30)
