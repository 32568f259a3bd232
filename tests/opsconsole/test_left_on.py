"""What people left paused, forced open or ignored: the page, the badge on every page, and the end by itself."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.actions.models import ActionRun
from apps.actions.running import run
from apps.actions.verbs import nouns
from apps.deadletters import tasks as deadletters
from apps.deadletters.models import FailureFamily
from apps.integrations import probing
from apps.integrations import tasks as integrations
from apps.integrations.models import CircuitBreaker, Endpoint, EventSource, Service
from apps.jobs import tasks as jobs
from apps.jobs.models import Job, Pausable, Queue, RetentionPolicy, Tenant
from opsconsole.left_on import COUNTED_UP_TO
from tests.cast import ROOT, Company
from tests.contracts.world import one

PAGE = "/admin/left-on/"
WHY = {"reason": "year-end closing"}


@pytest.fixture
def page(client: Client, ana: User) -> Client:
    client.force_login(ana)
    return client


def things(client: Client) -> dict[str, dict[str, Any]]:
    return {thing["what"]: thing for thing in client.get(PAGE).context["things"]}


def badge(client: Client, path: str = "/admin/jobs/queue/") -> bool:
    return 'class="left-on"' in client.get(path).content.decode()


@pytest.fixture
def held(company: Company) -> dict[str, Any]:
    """One row held in each way that there is, by what the page calls it."""
    lead = {"name": "Leads", "event_type": "lead.*", "service": company.piperun, "operation_type": "person.create"}
    record = ActionRun.objects.create(verb="retry", kind="operations.pendingoperation", actor_name="bob", door="api")
    family = FailureFamily.objects.order_by("pk")[0]
    paused: list[Any] = [
        company.crm,
        company.erp,
        Tenant.objects.create(slug="acme", name="Acme"),
        Endpoint.objects.create(slug="leads", **lead),
        EventSource.objects.create(slug="site", name="The site"),
        Job.objects.create(slug="nightly", name="Every night"),
    ]
    for row in paused:
        run(type(row).pause, one(type(row), row), ROOT, given=WHY)
    run(CircuitBreaker.force_open, one(CircuitBreaker, company.piperun.breaker), ROOT, given=WHY)
    run(FailureFamily.ignore, one(FailureFamily, family), ROOT)
    policy = RetentionPolicy.objects.order_by("pk")[0]
    run(RetentionPolicy.hold, one(RetentionPolicy, policy), ROOT, given=WHY)
    run(ActionRun.pause, one(ActionRun, record), ROOT, given={"note": "wait for the books"})
    return {str(row): row for row in [*paused, company.piperun.breaker, family, policy, record]}


def test_everything_that_is_held_is_listed_with_its_button(page: Client, held: dict[str, Any]) -> None:
    found = things(page)
    assert len(found) == len(held) == 10
    assert {str(thing["who"]) for thing in found.values()} == {"root"}
    assert {str(verb["label"]) for thing in found.values() for verb in thing["verbs"]} == {
        *("Resume", "Reset", "Acknowledge", "Release")
    }


def test_it_says_why_since_when_and_until_when(page: Client, company: Company) -> None:
    until = "2126-01-31T18:00:00-03:00"
    run(Queue.pause, one(Queue, company.crm), ROOT, given={**WHY, "until": until})
    (thing,) = things(page).values()
    company.crm.refresh_from_db()
    assert (thing["reason"], thing["since"]) == ("year-end closing", company.crm.paused_at)
    assert thing["until"] == dt.datetime.fromisoformat(until)


def test_its_button_lets_it_go_on_and_leads_back(page: Client, company: Company) -> None:
    run(Queue.pause, one(Queue, company.crm), ROOT, given=WHY)
    (thing,) = things(page).values()
    (verb,) = thing["verbs"]
    assert page.post(verb["url"], dict(verb["fields"]))["Location"] == PAGE
    assert things(page) == {}


def test_whatever_can_be_paused_is_among_it() -> None:
    """Each such noun says who, why and until when in the same columns: the page needs to know nothing more."""
    columns = {"paused_at", "paused_reason", "paused_until", "status"}
    pausable = [noun for noun in nouns() if issubclass(noun, Pausable)]
    assert len(pausable) >= 6
    assert [noun for noun in pausable if not columns <= {field.name for field in noun._meta.fields}] == []


def test_a_family_whose_time_is_over_is_not_held_any_more(page: Client, company: Company) -> None:
    run(FailureFamily.ignore, one(FailureFamily, FailureFamily.objects.order_by("pk")[0]), ROOT)
    FailureFamily.objects.update(ignored_until=Now() - dt.timedelta(minutes=1))
    assert things(page) == {}


def test_the_moving_part_answers_alone(page: Client, held: dict[str, Any]) -> None:
    answer = page.get(PAGE, headers={"HX-Target": "left-on"}).content.decode()
    assert 'id="left-on"' in answer
    assert "<html" not in answer


def test_a_viewer_sees_it_without_buttons(client: Client, bia: User, held: dict[str, Any]) -> None:
    client.force_login(bia)
    found = things(client)
    assert len(found) == 10
    assert [thing["verbs"] for thing in found.values() if thing["verbs"]] == []


def test_who_may_see_nothing_is_shown_nothing(client: Client, caio: User, held: dict[str, Any]) -> None:
    client.force_login(caio)
    assert things(client) == {}
    assert not badge(client, "/admin/")


# The badge


@pytest.mark.parametrize(
    "path", ["/admin/", "/admin/dashboard/", "/admin/jobs/queue/", "/admin/password_change/", PAGE]
)
def test_every_page_carries_the_badge(page: Client, held: dict[str, Any], path: str) -> None:
    assert "10 on hold" in page.get(path).content.decode()


def test_there_is_no_badge_where_nothing_is_held(page: Client, company: Company) -> None:
    assert not badge(page)


def test_the_badge_counts_no_further_than_it_says(page: Client, company: Company) -> None:
    made = [Tenant(slug=f"t{n}", name="t", status="paused", paused_at=Now()) for n in range(COUNTED_UP_TO + 5)]
    Tenant.objects.bulk_create(made)
    assert f"{COUNTED_UP_TO}+ on hold" in page.get("/admin/jobs/queue/").content.decode()


def test_the_badge_costs_one_query(page: Client, held: dict[str, Any]) -> None:
    page.get("/admin/password_change/")
    with CaptureQueriesContext(connection) as asked:
        page.get("/admin/password_change/")
    assert len([query for query in asked if "jobs_queue" in query["sql"]]) == 1


def test_the_page_reads_no_noun_of_which_nothing_is_held(page: Client, company: Company) -> None:
    run(Queue.pause, one(Queue, company.crm), ROOT, given=WHY)
    page.get(PAGE)
    with CaptureQueriesContext(connection) as asked:
        page.get(PAGE)
    assert len(asked) <= 10


# The end by itself

LAPSED = Now() - dt.timedelta(seconds=1)
SWEEPS: dict[str, tuple[type[Model], Callable[[], object]]] = {
    "queue": (Queue, jobs.sweep),
    "tenant": (Tenant, jobs.sweep),
    "job": (Job, jobs.sweep),
    "service": (Service, integrations.sweep),
    "endpoint": (Endpoint, integrations.sweep),
    "source": (EventSource, integrations.sweep),
}


@pytest.mark.parametrize("name", SWEEPS)
def test_a_pause_ends_by_itself(held: dict[str, Any], name: str) -> None:
    model, sweep = SWEEPS[name]
    rows = model._default_manager.filter(status="paused")
    rows.update(paused_until=LAPSED)
    sweep()
    assert not rows.exists()


def test_a_forced_breaker_is_probed_when_its_time_is_over(held: dict[str, Any]) -> None:
    CircuitBreaker.objects.filter(forced=True).update(probe_due_at=LAPSED)
    assert probing.wanted()


def test_an_ignored_family_comes_back_when_its_time_is_over(held: dict[str, Any]) -> None:
    rows = FailureFamily.objects.filter(status="ignored")
    rows.update(ignored_until=LAPSED)
    deadletters.sweep()
    assert not rows.exists()
