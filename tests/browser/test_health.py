"""The health page and the pages of a slow database, as operators see them: themes, languages and widths; nothing axe objects to."""

import datetime as dt

import pytest
from django.db.models.functions import Now

from apps.jobs import scheduling
from apps.jobs.execution import run_here
from apps.jobs.models import Heartbeat, Process, Report
from tests.browser.conftest import Look, Screen, audit, keep
from tests.cast import ROOT, Company

pytestmark = pytest.mark.django_db(transaction=True)
PAGES = {
    "health": "/admin/health/",
    "database": "/admin/database/",
    "database-slowest": "/admin/database/slowest/",
    "database-indexes": "/admin/database/indexes/?table=integration_events",
}
LOOKS = [Look(), Look("dark", "pt-br", 390)]


@pytest.fixture
def maintained(company: Company) -> None:
    """Some jobs have left their evidence."""
    scheduling.make_missing()
    scheduling.open_slots()
    for slug in ("analyze", "performance-report", "review-thresholds"):
        [run] = scheduling.run_now(slug, ROOT)
        run_here(run)


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_the_calendar_and_its_reports_can_be_read_by_everybody(screen: Screen, maintained: None, look: Look) -> None:
    screen.open("/admin/calendar/").wait_for_load_state("networkidle")
    keep(screen.page, f"calendar-{look}")
    audit(screen)
    for report in Report.objects.all():
        screen.open(f"/admin/calendar/reports/{report.pk}/").wait_for_load_state("networkidle")
        keep(screen.page, f"report-{report.kind}-{look}")
        audit(screen)


@pytest.mark.parametrize("look", LOOKS, ids=str)
@pytest.mark.parametrize("name", PAGES)
def test_the_page_can_be_read_by_everybody(screen: Screen, company: Company, look: Look, name: str) -> None:
    screen.open(PAGES[name]).wait_for_load_state("networkidle")
    keep(screen.page, f"{name}-{look}")
    audit(screen)


def test_the_page_turns_by_itself_when_beat_falls_silent(screen: Screen, company: Company) -> None:
    beat = Heartbeat.objects.create(name="tick", interval_seconds=5)
    Process.objects.create(name="here:1", kind="worker")
    page = screen.open(PAGES["health"])
    page.get_by_text("Everything that we stand on is in order.").wait_for()
    Heartbeat.objects.filter(pk=beat.pk).update(beat_at=Now() - dt.timedelta(minutes=1))
    page.evaluate("htmx.ajax('GET', location.pathname, {source: '#health-live', swap: 'outerHTML'})")
    page.get_by_text("Wrong: Beat.").wait_for()
    audit(screen)
