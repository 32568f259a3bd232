"""The page of a service and of its circuit breaker in each state, and the dashboard, as operators see them."""

import datetime as dt

import pytest
from django.db.models.functions import Now
from django.urls import reverse

from apps.actions.models import ActionItem
from apps.actions.running import run, step
from apps.integrations import breakers
from apps.integrations.models import CircuitBreaker, EventSource, IntegrationEvent, Service
from apps.operations.models import Attempt
from tests.browser.conftest import Look, Screen, audit, keep
from tests.cast import ROOT, Company, complete
from tests.contracts.world import one

looks = [Look(), Look("dark", "pt-br", 390)]
pytestmark = pytest.mark.django_db(transaction=True)


def tripped(breaker: CircuitBreaker) -> None:
    breakers.trip(breaker, "5 calls in a row failed", 75)


def half_open(breaker: CircuitBreaker) -> None:
    tripped(breaker)
    run(CircuitBreaker.reset, one(CircuitBreaker, breaker), ROOT, given={"note": "it answers again"})


def closed_again(breaker: CircuitBreaker) -> None:
    half_open(breaker)
    step(CircuitBreaker.close, CircuitBreaker.objects.filter(pk=breaker.pk))
    earlier = Now() - dt.timedelta(seconds=70)
    ActionItem.objects.filter(object_id=breaker.pk).update(created_at=earlier)
    CircuitBreaker.objects.filter(pk=breaker.pk).update(closed_at=Now() - dt.timedelta(seconds=25))


def forced(breaker: CircuitBreaker) -> None:
    run(CircuitBreaker.force_open, one(CircuitBreaker, breaker), ROOT, given={"reason": "They restore a backup."})


STATES = {"open": tripped, "half_open": half_open, "closed_again": closed_again, "forced": forced}


@pytest.fixture
def busy_company(company: Company) -> Company:
    """Work waits, and some of the calls of the last hour failed."""
    Service.objects.filter(pk=company.piperun.pk).update(rate_per_second=10, aliases=["crm"])
    rows = company.operations_of(1240)
    Attempt.objects.bulk_create(
        Attempt(
            operation=rows[0],
            service=company.piperun,
            at=Now() - dt.timedelta(seconds=number * 7),
            duration_ms=140,
            failure_class="transient" if number % 3 == 0 else "",
        )
        for number in range(60)
    )
    complete(company.operations_of(12, service=company.erp))
    site = EventSource.objects.create(slug="site", name="The website")
    for number in range(12):
        standing = "failed" if number % 4 == 0 else "processed"
        IntegrationEvent.objects.create(
            source=site, event_id=str(number), event_type="lead.created", body=b"{}", proof="signed", status=standing
        )
    return company


@pytest.mark.parametrize("look", looks, ids=str)
@pytest.mark.parametrize("state", STATES)
def test_a_breaker_is_readable_in_each_state(screen: Screen, busy_company: Company, state: str, look: Look) -> None:
    breaker = CircuitBreaker.objects.get(service=busy_company.piperun)
    STATES[state](breaker)
    screen.open(reverse("admin:integrations_circuitbreaker_change", args=[breaker.pk]))
    keep(screen.page, f"breaker-{state}-{look}")
    audit(screen)


@pytest.mark.parametrize("look", looks, ids=str)
@pytest.mark.parametrize("path", ["/admin/dashboard/", "/admin/integrations/service/"])
def test_the_dashboard_and_the_services_are_readable(
    screen: Screen, busy_company: Company, path: str, look: Look
) -> None:
    tripped(CircuitBreaker.objects.get(service=busy_company.piperun))
    page = screen.open(path)
    if "service" in path:
        page.goto(screen.base + reverse("admin:integrations_service_change", args=[busy_company.piperun.pk]))
    keep(page, f"{path.strip('/').split('/')[-1]}-{look}")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    audit(screen)


def test_the_next_probe_is_counted_down(screen: Screen, busy_company: Company) -> None:
    breaker = CircuitBreaker.objects.get(service=busy_company.piperun)
    tripped(breaker)
    screen.page.clock.install()
    page = screen.open(reverse("admin:integrations_circuitbreaker_change", args=[breaker.pk]))
    timer = page.get_by_role("timer")
    assert (timer.text_content() or "").startswith("1:1")
    page.clock.run_for(3000)
    assert int((timer.text_content() or "").removeprefix("1:")) <= 12
