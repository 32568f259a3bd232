import datetime as dt

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.actions.selections import Selection
from apps.actions.verbs import UnknownFilter
from apps.jobs import execution, scheduling
from apps.jobs.models import Job, JobRun, Tenant
from tests.cast import ROOT

LIST, JOBS = "/admin/jobs/jobrun/", "/admin/jobs/job/"


@pytest.fixture
def page(client: Client, ana: User) -> Client:
    client.force_login(ana)
    return client


def failed(tenant: str = "acme") -> JobRun:
    Tenant.objects.get_or_create(slug=tenant, defaults={"name": tenant})
    (run,) = scheduling.run_now("refused", ROOT, tenant=tenant)
    execution.run_here(run)
    run.refresh_from_db()
    return run


def test_the_failed_runs_are_listed_newest_first(page: Client, jobs: dict[str, Job]) -> None:
    runs = [failed(tenant) for tenant in ("acme", "bolt")]
    shown = page.get(f"{LIST}?status=failed").context["cl"].result_list
    assert [row.pk for row in shown] == [runs[1].pk, runs[0].pk]


def test_a_run_whose_key_is_refused_says_what_to_do(page: Client, jobs: dict[str, Job]) -> None:
    told = page.get(f"{LIST}{failed().pk}/change/").content.decode()
    assert "The ERP refused the password of acme." in told
    assert "Its credential is refused: renew it, then run it again." in told


def test_a_failure_that_may_pass_names_the_next_run(page: Client, jobs: dict[str, Job]) -> None:
    run = failed()
    JobRun.objects.filter(pk=run.pk).update(failure_class="transient")
    Job.objects.filter(slug="refused").update(next_at=Now())
    assert "This may pass by itself: the next run is at" in page.get(f"{LIST}{run.pk}/change/").content.decode()


def test_a_failure_that_will_not_pass_is_for_developers(page: Client, jobs: dict[str, Job]) -> None:
    (run,) = scheduling.run_now("broken", ROOT)
    execution.run_here(run)
    assert "escalate to development (L2)" in page.get(f"{LIST}{run.pk}/change/").content.decode()


def test_a_run_under_way_shows_how_far_it_is(page: Client, jobs: dict[str, Job]) -> None:
    (run,) = scheduling.run_now("quiet", ROOT)
    execution.claim()
    JobRun.objects.update(counts={"done": 1200}, expected=4800)
    told = page.get(f"{LIST}{run.pk}/change/").content.decode()
    assert "1,200 of 4,800" in told
    assert 'hx-trigger="every 2s"' in told


def test_the_page_is_asked_for_again_when_the_run_ends(page: Client, jobs: dict[str, Job]) -> None:
    run = failed()
    answer = page.get(f"{LIST}{run.pk}/change/", headers={"HX-Request": "true", "HX-Target": "run-live"})
    assert answer.headers["HX-Refresh"] == "true"


def test_a_job_says_when_it_comes_round_in_the_reader_s_words(page: Client, jobs: dict[str, Job]) -> None:
    assert "At 03:00 (America/Sao_Paulo)" in page.get(JOBS).content.decode()
    page.cookies["django_language"] = "pt-br"
    assert "Às 03:00 (America/Sao_Paulo)" in page.get(JOBS).content.decode()


def test_a_job_is_run_for_one_tenant_from_its_page(page: Client, jobs: dict[str, Job]) -> None:
    Tenant.objects.bulk_create(Tenant(slug=slug, name=slug) for slug in ("acme", "bolt"))
    page.post(f"{JOBS}verbs/run/?id={jobs['nightly'].pk}", {"confirm": "yes", "tenant": "bolt"})
    assert [run.tenant.slug for run in JobRun.objects.all() if run.tenant] == ["bolt"]


def test_a_tenant_that_is_none_is_refused_on_the_form(page: Client, jobs: dict[str, Job]) -> None:
    answer = page.post(f"{JOBS}verbs/run/?id={jobs['nightly'].pk}", {"confirm": "yes", "tenant": "bolt"})
    assert answer.status_code == 422
    assert "There is no tenant bolt" in answer.content.decode()


def test_a_schedule_is_changed_by_a_supervisor(page: Client, jobs: dict[str, Job]) -> None:
    url = f"{JOBS}{jobs['nightly'].pk}/change/"
    form = {"cron": "0 25 * * *", "every_seconds": "", "zone": "UTC", "overlap": "skip", "misfire": "latest"}
    form |= {"grace_seconds": "300", "timeout_seconds": "3600"}
    assert "This is no schedule: Bad hour" in page.post(url, form).content.decode()
    assert page.post(url, form | {"cron": "0 5 * * *"}).status_code == 302
    assert Job.objects.get(slug="nightly").cron == "0 5 * * *"


@pytest.mark.parametrize("url", [LIST, JOBS])
def test_the_lists_need_few_queries_however_many_rows(page: Client, jobs: dict[str, Job], url: str) -> None:
    for number in range(12):
        failed(f"tenant{number}")
    Job.objects.bulk_create(Job(slug=f"job{number}", name="More") for number in range(12))
    page.get(url)
    with CaptureQueriesContext(connection) as queries:
        page.get(url)
    assert len(queries) <= 20  # one for each row would be more


def test_a_run_s_state_is_filtered_by_in_upper_case_too(page: Client, jobs: dict[str, Job]) -> None:
    run = failed()
    assert [row.pk for row in page.get(f"{LIST}?status=FAILED").context["cl"].result_list] == [run.pk]


def test_a_job_shows_its_last_runs_and_its_slowest(page: Client, jobs: dict[str, Job]) -> None:
    (run,) = scheduling.run_now("quiet", ROOT)
    execution.run_here(run)
    lists = page.get(f"{JOBS}{jobs['quiet'].pk}/change/").context["lists"]
    assert [[each.pk for each in listed["runs"]] for listed in lists] == [[run.pk], [run.pk]]


@pytest.mark.parametrize("took", ["soon", "nan", "1e400", "9" * 30])
def test_a_time_that_is_none_is_refused_and_says_what_one_looks_like(db: None, took: str) -> None:
    with pytest.raises(UnknownFilter, match="slower takes seconds, or hours, minutes and seconds: 90 or 00:01:30"):
        Selection.matching(JobRun, {"slower": took})


@pytest.mark.parametrize(("took", "found"), [("90", 1), ("00:01:30", 1), ("91", 0)])
def test_runs_are_found_by_how_long_they_took(jobs: dict[str, Job], took: str, found: int) -> None:
    began = Now() - dt.timedelta(seconds=90)
    run = JobRun.objects.create(job=next(iter(jobs.values())), status="succeeded", started_at=began, finished_at=Now())
    assert Selection.matching(JobRun, {"slower": took}).rows().filter(pk=run.pk).count() == found
