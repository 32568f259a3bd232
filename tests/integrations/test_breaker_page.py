import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.actions.models import ActionItem
from apps.actions.running import run, step
from apps.integrations import breakers
from apps.integrations.models import CircuitBreaker, Service
from apps.operations.models import Attempt
from tests.cast import ROOT, Company
from tests.contracts.world import one

RESET = {"note": "it answers again"}


@pytest.fixture
def page(client: Client, ana: User) -> Client:
    client.force_login(ana)
    return client


@pytest.fixture
def breaker(company: Company) -> CircuitBreaker:
    return CircuitBreaker.objects.get(service=company.piperun)


def address(row: Any) -> str:
    return f"/admin/integrations/{row._meta.model_name}/{row.pk}/change/"


def panel(page: Client, row: Any) -> dict[str, Any]:
    return dict(page.get(address(row)).context["panel"])


def trip(breaker: CircuitBreaker, seconds: int = 60) -> None:
    breakers.trip(breaker, "5 calls in a row failed", seconds)


def reset(breaker: CircuitBreaker, ago: dt.timedelta = dt.timedelta()) -> None:
    run(CircuitBreaker.reset, one(CircuitBreaker, breaker), ROOT, given=RESET)
    earlier(breaker, ago)


def earlier(breaker: CircuitBreaker, ago: dt.timedelta) -> None:
    for item in ActionItem.objects.filter(object_id=breaker.pk):
        ActionItem.objects.filter(pk=item.pk).update(created_at=item.created_at - ago)


def close(breaker: CircuitBreaker) -> None:
    step(CircuitBreaker.close, CircuitBreaker.objects.filter(pk=breaker.pk))


def call(company: Company, ago: dt.timedelta, failure_class: str = "") -> None:
    operation = company.operations["pending"][0]
    at = Now() - ago
    Attempt.objects.create(
        operation=operation, service=operation.service, at=at, duration_ms=100, failure_class=failure_class
    )


def test_an_open_breaker_says_since_when_why_and_when_the_next_probe_goes_out(
    page: Client, breaker: CircuitBreaker
) -> None:
    trip(breaker, seconds=90)
    assert "5 calls in a row failed" in page.get(address(breaker)).content.decode()
    assert 85 <= panel(page, breaker)["probe"]["seconds"] <= 90
    assert 'role="timer"' in page.get(address(breaker)).content.decode()


def test_the_failure_rate_counts_what_speaks_against_the_service(
    page: Client, company: Company, breaker: CircuitBreaker
) -> None:
    minute, forty = dt.timedelta(minutes=1), dt.timedelta(minutes=40)
    for ago, failure in ((minute, "transient"), (minute, "permanent_data"), (forty, "credential"), (forty, "")):
        call(company, ago, failure)
    five, hour = panel(page, breaker)["tiles"][:2]
    assert (five["words"], five["threshold"]) == ("50.0 %", "1 of 2")
    assert (hour["words"], hour["threshold"]) == ("50.0 %", "2 of 4")


def test_no_calls_are_not_zero_percent(page: Client, breaker: CircuitBreaker) -> None:
    assert [tile["words"] for tile in panel(page, breaker)["tiles"][:2]] == ["no calls", "no calls"]


def test_what_waits_leads_to_exactly_those_rows(page: Client, company: Company, breaker: CircuitBreaker) -> None:
    waiting = panel(page, breaker)["tiles"][2]
    assert page.get(waiting["url"]).context["cl"].result_count == waiting["value"] == 2


def test_it_says_how_long_what_waits_would_take(page: Client, company: Company, breaker: CircuitBreaker) -> None:
    Service.objects.filter(pk=company.piperun.pk).update(rate_per_second=10)
    company.operations_of(1238)
    trip(breaker)
    expected = (
        "1,240 wait. If calls passed from now on, they would be out in about 3 min: it takes 10 a second, by its limit."
    )
    assert panel(page, breaker)["expect"] == expected


def test_a_forced_one_says_who_holds_it_and_until_when(page: Client, breaker: CircuitBreaker) -> None:
    held = {"reason": "They restore a backup."}
    run(CircuitBreaker.force_open, one(CircuitBreaker, breaker), ROOT, given=held)
    assert "root holds it open until somebody resets it" in panel(page, breaker)["standing"]


def test_one_that_just_closed_says_how_far_its_pace_is(page: Client, breaker: CircuitBreaker) -> None:
    trip(breaker)
    close(breaker)
    CircuitBreaker.objects.filter(pk=breaker.pk).update(closed_at=Now() - dt.timedelta(seconds=30))
    assert "50 % of the whole" in panel(page, breaker)["standing"]


def test_a_wait_that_it_asked_for_is_among_the_limits(page: Client, company: Company, breaker: CircuitBreaker) -> None:
    until = Now() + dt.timedelta(minutes=3)
    Service.objects.filter(pk=company.piperun.pk).update(waits_until=until, waits_because="HTTP 429: slow down")
    assert "HTTP 429: slow down" in dict(panel(page, breaker)["limits"])["It asked us to wait"]


def test_without_a_reset_nothing_is_watched(page: Client, breaker: CircuitBreaker) -> None:
    trip(breaker)
    assert panel(page, breaker)["watch"] is None


def test_after_a_reset_there_is_a_sample_every_thirty_seconds(
    page: Client, company: Company, breaker: CircuitBreaker
) -> None:
    trip(breaker)
    reset(breaker)
    close(breaker)
    earlier(breaker, dt.timedelta(seconds=95))
    call(company, dt.timedelta(seconds=50), "transient")
    call(company, dt.timedelta(seconds=45))
    watch = panel(page, breaker)["watch"]
    told = [(sample["status"], sample["made"], sample["failed"]) for sample in watch["samples"]]
    assert told == [("closed", 0, 0), ("closed", 2, 1), ("closed", 0, 0)]
    assert "3 of 10 samples" in watch["words"]


def test_one_that_opens_again_is_told_at_once(page: Client, breaker: CircuitBreaker) -> None:
    trip(breaker)
    reset(breaker, ago=dt.timedelta(seconds=20))
    trip(breaker)
    watch = panel(page, breaker)["watch"]
    assert (watch["state"], "It opened again 20 s after the reset." in watch["words"]) == ("failed", True)


@pytest.mark.parametrize(("closes", "told"), [(True, "did not open again within five"), (False, "it has not closed")])
def test_after_five_minutes_it_says_how_it_ended(
    page: Client, breaker: CircuitBreaker, closes: bool, told: str
) -> None:
    trip(breaker)
    reset(breaker)
    if closes:
        close(breaker)
    earlier(breaker, dt.timedelta(seconds=301))
    watch = panel(page, breaker)["watch"]
    assert (len(watch["samples"]), told in watch["words"]) == (10, True)


def test_a_watch_is_shown_for_a_quarter_of_an_hour(page: Client, breaker: CircuitBreaker) -> None:
    trip(breaker)
    reset(breaker, ago=dt.timedelta(minutes=16))
    assert panel(page, breaker)["watch"] is None


def test_the_page_of_the_service_tells_the_same_and_takes_the_same_verbs(page: Client, breaker: CircuitBreaker) -> None:
    trip(breaker)
    service = page.get(address(breaker.service)).context
    assert service["panel"]["standing"] == panel(page, breaker)["standing"]
    assert {verb["name"] for verb in service["verbs"]} == {"pause", "resume", "probe", "reset", "force_open"}
    assert {verb["name"] for verb in page.get(address(breaker)).context["verbs"]} == {"reset", "force_open", "probe"}


@pytest.mark.parametrize("half", ["service", "breaker"])
def test_the_moving_part_is_asked_for_alone_and_changes_nothing(
    page: Client, breaker: CircuitBreaker, half: str
) -> None:
    row = breaker if half == "breaker" else breaker.service
    answer = page.get(address(row), headers={"HX-Request": "true", "HX-Target": "breaker-live"})
    assert 'id="breaker-live"' in answer.content.decode()
    assert "<html" not in answer.content.decode()


@pytest.mark.parametrize("half", ["service", "breaker"])
def test_the_history_beside_it_moves_too(page: Client, breaker: CircuitBreaker, half: str) -> None:
    row = breaker if half == "breaker" else breaker.service
    assert 'id="breaker-history" hx-get=' in page.get(address(row)).content.decode()


def test_the_last_probe_is_told_in_the_moving_part(page: Client, breaker: CircuitBreaker) -> None:
    assert panel(page, breaker)["last_probe"] is None
    Service.objects.filter(pk=breaker.service_id).update(probe_asked_at=Now())
    assert panel(page, breaker)["last_probe"]["words"] == "asked, the answer is on its way"
    Service.objects.filter(pk=breaker.service_id).update(probed_at=Now(), probe_ok=True)
    assert panel(page, breaker)["last_probe"]["state"] == "completed"


def test_the_moving_part_is_closed_to_who_may_not_look(client: Client, caio: User, breaker: CircuitBreaker) -> None:
    client.force_login(caio)
    answer = client.get(address(breaker), headers={"HX-Target": "breaker-live"})
    assert answer.status_code in (302, 403, 404)


@pytest.mark.parametrize("half", ["service", "breaker"])
def test_the_page_keeps_its_number_of_queries(
    page: Client, company: Company, breaker: CircuitBreaker, half: str
) -> None:
    row = breaker if half == "breaker" else breaker.service
    trip(breaker)
    reset(breaker, ago=dt.timedelta(minutes=2))
    page.get(address(row))
    with CaptureQueriesContext(connection) as few:
        page.get(address(row))
    company.operations_of(30)
    for _ in range(30):
        call(company, dt.timedelta(seconds=40))
    with CaptureQueriesContext(connection) as many:
        page.get(address(row))
    assert len(many) == len(few) <= 40


def test_the_calls_are_counted_out_of_one_index(company: Company) -> None:
    rows = Attempt.objects.filter(service_id=company.piperun.pk, at__gte=Now() - dt.timedelta(hours=1))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = rows.values("failure_class").explain()
    assert "service_id_at_failure_class" in plan  # of each day's part, by a name that PostgreSQL gives
    assert "Seq Scan" not in plan
