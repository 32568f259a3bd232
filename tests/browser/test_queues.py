"""The list and the page of queues, the workers and what is left on hold, as operators see and use them (S3-24)."""

import datetime as dt

import pytest
from django.db.models.functions import Now
from django.urls import reverse

from apps.actions.running import run
from apps.integrations.models import CircuitBreaker
from apps.jobs.fingerprints import held
from apps.jobs.models import Process, Queue
from apps.operations import places
from apps.operations.models import Attempt
from tests.browser.conftest import Look, Screen, audit, keep
from tests.cast import ROOT, Company
from tests.contracts.world import one

looks = [Look(), Look(language="pt-br"), Look("dark", "pt-br", 390)]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def busy(company: Company) -> Company:
    """One queue grows although two workers are at it, another is paused; a worker fell silent, and one holds an old secret."""
    rows = company.operations_of(1240)
    for milliseconds in (900, 1400, 3100):
        Attempt.objects.create(operation=rows[0], service=company.piperun, duration_ms=milliseconds)
    for _worker in range(2):
        places.take(company.crm)
    run(Queue.pause, one(Queue, company.books), ROOT, given={"reason": "The books of the month are not closed yet."})
    forced = {"reason": "They restore a backup until noon."}
    run(CircuitBreaker.force_open, one(CircuitBreaker, company.erp.breaker), ROOT, given=forced)
    for kind in ("beat", "ticker", "web"):
        Process.objects.create(name=f"vm:{kind}", kind=kind, secrets=held())
    long_ago = Now() - dt.timedelta(hours=2)
    lives = {"concurrency": 2, "queues": ["drains"], "version": "0.1.0"}
    Process.objects.create(
        name="vm:7", kind="worker", node="one@vm", holders=["vm:7", "vm:8"], since=long_ago, secrets={}, **lives
    )
    Process.objects.create(name="vm:9", kind="worker", node="two@vm", beat_at=long_ago, secrets=held(), **lives)
    company.operation(status="processing", worker="vm:8", lease_until=Now() + dt.timedelta(minutes=5))
    return company


@pytest.mark.parametrize("look", looks, ids=str)
@pytest.mark.parametrize("path", ["/admin/queues", "/admin/jobs/process/", "/admin/left-on/"])
def test_the_lists_are_readable(screen: Screen, busy: Company, path: str, look: Look) -> None:
    page = screen.open(path)
    keep(page, f"{path.strip('/').split('/')[-1]}-{look}")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    audit(screen)


@pytest.mark.parametrize("look", looks, ids=str)
def test_the_page_of_a_queue_that_grows_is_readable(screen: Screen, busy: Company, look: Look) -> None:
    page = screen.open(reverse("admin:jobs_queue_change", args=[busy.crm.pk]))
    keep(page, f"queue-{look}")
    assert page.locator("#queue-live .banner").count() >= 2
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    audit(screen)


def test_all_queues_are_paused_and_one_resumed_by_hand(screen: Screen, busy: Company) -> None:
    page = screen.open("/admin/queues")
    page.get_by_role("link", name="Pause all").click()
    page.get_by_label("reason").fill("a deploy")
    screen.follow(page.get_by_role("button", name="Pause"))
    assert set(Queue.objects.values_list("status", flat=True)) == {"paused"}
    screen.follow(page.get_by_role("link", name="on hold").first)
    screen.follow(page.locator("li", has_text="Queue crm").get_by_role("button", name="Resume"))
    assert Queue.objects.get(slug="crm").status == "active"


def test_the_badge_goes_with_what_it_counts(screen: Screen, busy: Company) -> None:
    page = screen.open("/admin/queues")
    assert page.locator(".rail .left-on").text_content() == "2 on hold"
    run(Queue.resume, one(Queue, busy.books), ROOT)
    page.reload()
    assert page.locator(".rail .left-on").text_content() == "1 on hold"


def test_the_lists_refresh_themselves(screen: Screen, busy: Company) -> None:
    screen.page.clock.install()
    page = screen.open("/admin/queues")
    busy.operations_of(7, queue=busy.books)
    with page.expect_response(lambda answer: "/admin/jobs/queue/" in answer.url):
        page.clock.run_for(11_000)
    page.wait_for_function("document.querySelector('#queues').textContent.includes('8')")
