from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from apps.actions.actors import Actor
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.integrations.models import CircuitBreaker, Service
from apps.jobs.models import Heartbeat, Queue
from opsconsole.home import PARTS
from tests.cast import Company

HOME = "/admin/"


@pytest.fixture
def page(client: Client, ana: User) -> Client:
    client.force_login(ana)
    return client


def home(client: Client) -> dict[str, Any]:
    return dict(client.get(HOME).context["home"])


def words(told: dict[str, Any]) -> str:
    return " ".join(banner["words"] for banner in told["banners"])


def test_the_root_leads_home(page: Client) -> None:
    assert page.get("/", follow=True).redirect_chain == [(HOME, 302)]


def test_a_quiet_company_has_nothing_wrong(page: Client, empty_company: Company) -> None:
    told = home(page)
    assert (told["headline"]["words"], told["headline"]["state"]) == ("Nothing is wrong.", "completed")


def test_the_headline_says_what_failed_and_since_when(page: Client, company: Company) -> None:
    headline = home(page)["headline"]
    assert headline["state"] == "failed"
    assert "2 things need you: 2 × deal.create, http_422" in headline["words"]  # noqa: RUF001
    assert headline["since"] is not None


def test_the_counts_leave_archived_operations_out(page: Client, company: Company) -> None:
    numbers = {tile["label"]: tile["value"] for tile in home(page)["numbers"]}
    assert (numbers["Pending"], numbers["Processing"], numbers["Failed"], numbers["Completed"]) == (3, 2, 3, 2)


@pytest.mark.parametrize(("threshold", "breached"), [(2, True), (3, False)])
def test_a_threshold_is_breached_strictly_above_it(
    page: Client, company: Company, settings: Settings, threshold: int, breached: bool
) -> None:
    settings.FAILED_ALERT_THRESHOLD = threshold
    told = home(page)
    assert next(tile for tile in told["numbers"] if tile["label"] == "Failed")["breached"] is breached
    assert ("investigate the errors" in words(told)) is breached


def test_failures_are_grouped_by_cause_each_with_its_button(page: Client, company: Company) -> None:
    first, _ambiguous = home(page)["failures"]
    assert (first["count"], [str(verb["label"]) for verb in first["verbs"]]) == (2, ["Retry 2", "Archive 2"])


def test_the_button_of_a_cause_previews_exactly_its_dead_letters(page: Client, company: Company) -> None:
    (retry, _archive) = home(page)["failures"][0]["verbs"]
    answer = page.post(retry["url"], dict(retry["fields"]))
    assert (answer.status_code, answer.context["preview"].moving) == (200, 2)


def test_what_may_have_arrived_is_not_sent_again_by_the_group(page: Client, company: Company) -> None:
    (_first, ambiguous) = home(page)["failures"]
    assert (ambiguous["verbs"], ambiguous["review"]) == ([], True)
    assert page.get(ambiguous["url"]).context["cl"].result_count == 1


def test_poison_is_a_banner(page: Client, empty_company: Company) -> None:
    empty_company.failed(failure_class="poison", error_type="poison")
    assert "set aside as poison" in words(home(page))


def test_a_silent_tick_is_a_banner(page: Client, empty_company: Company) -> None:
    Heartbeat.objects.create(name="tick", interval_seconds=5)
    assert "fell silent" not in words(home(page))
    Heartbeat.objects.update(interval_seconds=0, beat_at=Now())
    assert "tick fell silent" in words(home(page))


def test_a_broker_that_is_away_is_a_banner(page: Client, empty_company: Company, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert "The broker cannot be reached" in words(home(page))


def test_what_is_paused_says_who_paused_it_and_why(page: Client, company: Company, as_ana: Actor) -> None:
    queue = Selection.ticked(Queue, [company.crm.pk])
    run(Queue.pause, queue, as_ana, given={"reason": "year-end closing"})
    (thing,) = home(page)["paused"]
    assert (thing["what"], thing["who"], thing["reason"]) == ("Queue crm", "ana", "year-end closing")
    assert [str(verb["label"]) for verb in thing["verbs"]] == ["Resume"]


def test_an_open_breaker_stands_beside_its_service(page: Client, company: Company, as_ana: Actor) -> None:
    breaker = Selection.ticked(CircuitBreaker, [CircuitBreaker.objects.get(service=company.piperun).pk])
    run(CircuitBreaker.force_open, breaker, as_ana, given={"reason": "they asked us to stop"})
    told = home(page)
    piperun = next(service for service in told["services"] if service["name"] == company.piperun.name)
    assert (piperun["breaker"], piperun["waiting"]) == ("open", 2)
    assert "Piperun, the CRM is held back" in told["headline"]["words"]


def test_a_good_probe_is_told_in_the_language_of_the_reader(page: Client, company: Company) -> None:
    Service.objects.filter(slug="piperun").update(probed_at=Now(), probe_ok=True)
    shown = page.get("/admin/?part=services", headers={"Accept-Language": "pt-br"}).content.decode()
    assert "Respondeu e aceitou nossa credencial." in shown


def test_a_viewer_sees_it_all_and_no_button(client: Client, bia: User, company: Company) -> None:
    client.force_login(bia)
    told = home(client)
    assert told["failures"]
    assert not [verb for group in [*told["failures"], *told["services"]] for verb in group["verbs"]]


def test_who_may_see_nothing_is_shown_nothing(client: Client, caio: User, company: Company) -> None:
    client.force_login(caio)
    answer = client.get(HOME)
    assert "home" not in answer.context
    assert "You may not see any list" in answer.content.decode()


@pytest.mark.parametrize("part", PARTS)
def test_each_part_answers_alone_with_few_queries(page: Client, company: Company, part: str) -> None:
    page.get(HOME)
    with CaptureQueriesContext(connection) as queries:
        answer = page.get(HOME, {"part": part})
    assert f'id="{part}"' in answer.content.decode()
    assert "<html" not in answer.content.decode()
    assert len(queries) <= 20


def test_an_unknown_part_is_not_there(page: Client, company: Company) -> None:
    assert page.get(HOME, {"part": "../403"}).status_code == 404


def test_the_home_page_keeps_its_number_of_queries(page: Client, company: Company) -> None:
    page.get(HOME)
    with CaptureQueriesContext(connection) as few:
        page.get(HOME)
    company.failed(30)
    company.operations_of(60)
    with CaptureQueriesContext(connection) as many:
        page.get(HOME)
    assert len(many) == len(few) <= 30


def test_many_services_of_which_there_is_nothing_to_say_stand_in_one_line(page: Client, company: Company) -> None:
    Service.objects.bulk_create(
        Service(slug=f"s{number}", name=f"S{number}", connector="http", base_url="http://x.example.com")
        for number in range(6)
    )
    for service in Service.objects.filter(breaker=None):
        CircuitBreaker.objects.create(service=service)
    Service.objects.filter(slug="s1").update(probe_ok=False)
    Service.objects.filter(slug="s2").update(tokens_at=Now())
    told = home(page)
    assert {service["name"] for service in told["services"]} == {"Piperun, the CRM", "The books", "S1", "S2"}
    assert told["quiet_services"]["words"] == "4 more services: nothing waits, nothing is wrong."


def test_few_services_are_all_shown(page: Client, empty_company: Company) -> None:
    told = home(page)
    assert (len(told["services"]), told["quiet_services"]) == (2, None)
