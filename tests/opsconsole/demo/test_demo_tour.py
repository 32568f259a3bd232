import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from apps.integrations import probing
from apps.integrations.models import CircuitBreaker, Service
from apps.operations.models import PendingOperation
from opsconsole.demo import failures, far_end
from tests.opsconsole.demo.visitor import guide, press, retry_to_the_end, work
from tests.simulator_process import Simulator


@pytest.fixture(autouse=True)
def as_it_was(seeded: Simulator) -> None:
    """The CRM is up again, and its stage is missing, whatever the last test did to it."""
    far_end.mend("piperun")
    failures.lose_stage()


def test_it_begins_with_breaking_the_crm(as_operator: Client) -> None:
    assert (guide(as_operator)["number"], guide(as_operator)["url"]) == (1, "/demo/break/")


def test_the_whole_story_ends_with_every_retry_confirmed(hurried: Client, seeded: Simulator) -> None:
    press(hurried, "break")
    work()
    assert guide(hurried)["title"] == "The breaker is open, and the queue grows: 6 wait"
    press(hurried, "mend")
    press(hurried, "probe")
    probing.answer_breakers()
    assert guide(hurried)["button"] == "Retry 39"
    press(hurried, "retry")
    retry_to_the_end()
    assert (guide(hurried)["title"], seeded.ledger("piperun")["doubles"]) == ("39 of 39 confirmed", [])


def test_while_the_crm_is_broken_nothing_is_lost(hurried: Client) -> None:
    press(hurried, "break")
    work()
    waiting = PendingOperation.objects.filter(service__slug="piperun", status="pending").count()
    assert (waiting, CircuitBreaker.objects.get(service__slug="piperun").status) == (6, "open")


def test_putting_it_away_leaves_no_broken_crm(as_operator: Client, seeded: Simulator) -> None:
    press(as_operator, "break")
    press(as_operator, "away")
    conditions = seeded.ask("GET", "services/piperun")["conditions"]
    assert (guide(as_operator), conditions["outage"]) == (None, None)


def test_a_simulator_that_is_gone_is_a_sentence(as_operator: Client, settings: Settings) -> None:
    Service.objects.filter(slug="piperun").update(base_url="http://127.0.0.1:9/piperun/v1")
    settings.SIMULATOR_URL = "http://127.0.0.1:9"
    page = as_operator.post("/demo/break/", follow=True).content.decode()
    assert "does not answer" in page
    assert guide(as_operator)["number"] == 1


def test_bia_sees_no_tour_and_may_not_break_anything(seeded: Simulator, client: Client) -> None:
    client.force_login(User.objects.get(username="bia"))
    assert (guide(client), client.post("/demo/break/").status_code) == (None, 403)


def test_a_real_crm_has_no_tour_and_cannot_be_broken(as_operator: Client) -> None:
    Service.objects.filter(slug="piperun").update(base_url="https://api.example.com/v1")
    assert (guide(as_operator), as_operator.post("/demo/break/").status_code) == (None, 404)


def test_a_look_breaks_nothing(as_operator: Client) -> None:
    assert as_operator.get("/demo/break/").status_code == 405
