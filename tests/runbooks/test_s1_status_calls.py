"""Runbook 1's calls of 2.2, 3.3 and 3.5 as they are written there, host and key aside; each jq filter finds its value."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from apps.actions.models import ActionRun
from apps.integrations.models import CircuitBreaker, Service
from tests.api import Api, problem
from tests.cast import Company

pytestmark = pytest.mark.django_db
BOTH = pytest.mark.parametrize("root", ["", "/api"])


def jq(body: Any, path: str) -> Any:
    """Return what the filter of a jq line finds; it fails where a key is missing."""
    for key in path.strip(".").split("."):
        body = body[key]
    return body


@pytest.fixture
def crm(company: Company) -> CircuitBreaker:
    """Piperun, which runbook 1 calls the CRM; its breaker is open."""
    Service.objects.filter(pk=company.piperun.pk).update(aliases=["crm"])
    breaker = CircuitBreaker.objects.get(service=company.piperun)
    CircuitBreaker.objects.filter(pk=breaker.pk).update(status="open", reason="5 calls in a row failed")
    return breaker


@BOTH
def test_status(ana_api: Api, crm: CircuitBreaker, root: str) -> None:
    found = ana_api.get(f"{root}/status").json()
    assert list(found) == [
        *("app", "timestamp", "events", "retry_queue", "dead_letter", "sync_jobs", "whatsapp", "circuit_breakers"),
    ]
    assert jq(found, ".whatsapp") is None
    assert set(jq(found, ".sync_jobs")) == {"queued", "running", "completed_today", "failed_today", "jobs"}


@BOTH
def test_dashboard(ana_api: Api, crm: CircuitBreaker, root: str) -> None:
    found = ana_api.get(f"{root}/dashboard").json()
    assert list(found) == [
        *(
            "timestamp",
            "health",
            "dependencies",
            "events",
            "queues",
            "deliveries",
            "sync",
            "circuit_breakers",
            "alerts",
        ),
    ]
    assert {"by_type", "by_source"} <= set(jq(found, ".events"))


@BOTH
def test_circuit_breakers(ana_api: Api, crm: CircuitBreaker, root: str) -> None:
    found = ana_api.get(f"{root}/circuit-breakers").json()
    assert jq(found, ".services.crm.state") == "open"
    assert jq(found, ".services.crm") == jq(found, ".services.piperun")
    assert set(jq(found, ".services.crm")) >= {
        *("service", "state", "failure_count", "failure_threshold", "timeout_seconds", "opened_at"),
    }


@BOTH
def test_reset_goes_through_a_probe(ana_api: Api, crm: CircuitBreaker, root: str) -> None:
    found = ana_api.send(f"{root}/circuit-breakers/crm/reset").json()
    assert found["status"] == "half_open"
    assert ActionRun.objects.get(pk=found["action_run"]).verb == "reset"
    crm.refresh_from_db()
    assert (crm.status, crm.probe_due_at is not None) == ("half_open", True)


def test_reset_of_a_closed_one_is_refused_with_a_sentence(ana_api: Api, company: Company) -> None:
    found = problem(ana_api.send("/circuit-breakers/piperun/reset"), 409)
    assert "closed; reset needs" in found["error"]
    assert found["error"] == found["detail"]


def test_an_unknown_service_is_404_with_those_that_are_there(ana_api: Api, crm: CircuitBreaker) -> None:
    found = problem(ana_api.send("/circuit-breakers/crmm/reset"), 404)
    assert found["allowed"] == ["crm", "erp", "piperun"]
    assert "did you mean crm?" in found["error"]


def test_names_are_told_to_nobody_who_may_not_see_them(caio_api: Api, crm: CircuitBreaker) -> None:
    assert "allowed" not in problem(caio_api.send("/circuit-breakers/nonsense/reset"), 403)


@pytest.mark.parametrize("call", ["status", "dashboard", "circuit-breakers"])
def test_without_a_key_nothing_is_told(db: None, call: str) -> None:
    assert "API key is required" in problem(Client().get(f"/{call}"), 401)["error"]


def test_a_reset_without_a_key_is_refused(crm: CircuitBreaker) -> None:  # S1-56
    problem(Client().post("/circuit-breakers/crm/reset"), 401)
    crm.refresh_from_db()
    assert crm.status == "open"


def test_a_reset_by_who_only_looks_is_refused(bia_api: Api, crm: CircuitBreaker) -> None:
    assert "bia may not reset" in problem(bia_api.send("/circuit-breakers/crm/reset"), 403)["error"]


@pytest.mark.parametrize("call", ["status", "dashboard", "circuit-breakers"])
def test_a_browser_is_led_to_the_page(client: Client, ana: User, company: Company, call: str) -> None:
    client.force_login(ana)
    answer = client.get(f"/{call}", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}, follow=True)
    assert (answer.status_code, answer["Content-Type"].split(";")[0]) == (200, "text/html")


@pytest.mark.parametrize("path", ["/status/nonsense", "/dashboard/x/y", "/circuit-breakers/a/b/c"])
def test_an_unknown_address_below_is_a_problem_body(ana_api: Api, path: str) -> None:
    problem(ana_api.get(path), 404)


@pytest.mark.parametrize("call", ["status", "dashboard"])
def test_a_wrong_method_is_refused(ana_api: Api, call: str) -> None:
    assert ana_api.delete(f"/{call}").status_code == 405


def test_whatsapp_is_known_by_its_name_or_alias(ana_api: Api, company: Company) -> None:
    Service.objects.filter(pk=company.erp.pk).update(aliases=["whatsapp"], probe_ok=True, probed_at="2026-01-02T03:04Z")
    assert jq(ana_api.get("/status").json(), ".whatsapp.connected") is True
    CircuitBreaker.objects.filter(service=company.erp).update(status="open")
    assert jq(ana_api.get("/status").json(), ".whatsapp.connected") is False


def test_whatsapp_that_answered_lately_is_connected(ana_api: Api, company: Company) -> None:
    Service.objects.filter(pk=company.piperun.pk).update(aliases=["whatsapp"])
    [operation] = company.operations_of(1)
    operation.attempt_set.create(service=company.piperun, duration_ms=80, status_code=201)
    assert jq(ana_api.get("/status").json(), ".whatsapp.connected") is True


def test_whatsapp_that_nobody_asked_is_unknown(ana_api: Api, company: Company) -> None:
    Service.objects.filter(pk=company.erp.pk).update(aliases=["whatsapp"])
    assert jq(ana_api.get("/status").json(), ".whatsapp") == {
        "connected": None,
        "status": "unknown",
        "checked_at": None,
    }
