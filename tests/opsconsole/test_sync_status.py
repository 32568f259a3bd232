"""What `/status` and `/dashboard` say of sync jobs (S1-12, S1-23, S1-57, S1-59)."""

from collections.abc import Iterator

import pytest

from apps.jobs import catalogue, scheduling
from apps.jobs.catalogue import JobKind
from apps.jobs.execution import run_here
from apps.jobs.models import Job, JobRun
from tests.api import Api
from tests.cast import ROOT, Company

pytestmark = pytest.mark.django_db
KINDS = (
    JobKind("sync-crm-operacao", "CRM", "tests.jobs.handlers.quiet", cron="0 * * * *"),
    JobKind("erp-sync", "ERP", "tests.jobs.handlers.refused", cron="0 3 * * *"),
    JobKind("sync-never-ran", "New", "tests.jobs.handlers.quiet", cron="0 3 * * *"),
    JobKind("clean-up", "No sync", "tests.jobs.handlers.quiet", cron="0 3 * * *"),
)


@pytest.fixture
def syncs(company: Company, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(catalogue, "JOBS", KINDS)
    catalogue.kinds.cache_clear()
    Job.objects.all().delete()
    scheduling.make_missing()
    scheduling.open_slots()
    for slug in ("sync-crm-operacao", "erp-sync", "clean-up"):
        [run] = scheduling.run_now(slug, ROOT)
        run_here(run)
    yield
    catalogue.kinds.cache_clear()


def test_status_counts_the_syncs_of_today(bia_api: Api, syncs: None) -> None:
    found = bia_api.get("/status").json()["sync_jobs"]
    counted = {word: found[word] for word in ("queued", "running", "completed_today", "failed_today")}
    assert counted == {"queued": 0, "running": 0, "completed_today": 1, "failed_today": 1}


def test_status_names_each_sync_with_its_last_and_next_run(bia_api: Api, syncs: None) -> None:
    told = {each["slug"]: each for each in bia_api.get("/status").json()["sync_jobs"]["jobs"]}
    assert {slug: each["last_status"] for slug, each in told.items()} == {
        "erp-sync": "failed",
        "sync-crm-operacao": "succeeded",
        "sync-never-ran": None,
    }
    assert told["sync-crm-operacao"]["next_run"] > told["sync-crm-operacao"]["last_run"]


def test_a_sync_that_waits_is_counted(bia_api: Api, syncs: None) -> None:
    scheduling.run_now("sync-never-ran", ROOT)
    assert bia_api.get("/status").json()["sync_jobs"]["queued"] == 1


def test_dashboard_tells_each_sync(bia_api: Api, syncs: None) -> None:
    found = bia_api.get("/dashboard").json()["sync"]
    assert found.keys() == {"erp-sync", "sync-crm-operacao", "sync-never-ran"}
    assert (found["erp-sync"]["last_status"], found["erp-sync"]["recent_failures"]) == ("failed", 1)
    assert found["sync-crm-operacao"]["duration_seconds"] >= 0


def test_who_may_not_see_runs_is_told_nothing_of_them(bia_api: Api, syncs: None) -> None:
    from django.contrib.auth.models import Group, Permission

    Group.objects.get(name="Viewer").permissions.remove(Permission.objects.get(codename="view_jobrun"))
    assert set(bia_api.get("/status").json()["sync_jobs"].values()) == {None}
    assert bia_api.get("/dashboard").json()["sync"] is None


def test_status_asks_few_things(bia_api: Api, syncs: None, django_assert_max_num_queries: object) -> None:
    JobRun.objects.bulk_create(JobRun(job=job) for job in Job.objects.all() for _number in range(20))
    with django_assert_max_num_queries(25):  # type: ignore[operator] # pytest-django's
        bia_api.get("/status")


@pytest.mark.django_db(transaction=True)
def test_the_morning_check_names_the_syncs_that_failed(bia_api: Api, syncs: None) -> None:  # S4-18
    assert bia_api.get("/health").json()["pipelines"]["syncs"] == "failing: the last run of erp-sync failed"
