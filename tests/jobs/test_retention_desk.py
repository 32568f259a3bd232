import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import strip_tags
from pytest_django.fixtures import Settings

from apps.actions.running import run
from apps.actions.selections import Selection
from apps.jobs import growth, retention
from apps.jobs.catalogue import KEPT
from apps.jobs.models import Job, JobRun, RetentionPolicy, StorageBudget, TableSize
from tests.api import Api
from tests.cast import ROOT, Company
from tests.jobs.aged import ago, event, letter, operation, policy, purge

DESK = "/admin/jobs/retentionpolicy/"
BUDGET = "/admin/jobs/storagebudget/1/change/"


@pytest.fixture
def desk(client: Client, ana: User) -> Client:
    client.force_login(ana)
    return client


@pytest.fixture(autouse=True)
def read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_known_until", 0.0)


def page_of(slug: str) -> str:
    return f"{DESK}{policy(slug).pk}/change/"


def said(client: Client, path: str) -> str:
    return re.sub(r"\s+", " ", strip_tags(client.get(path).content.decode()))


def save(client: Client, slug: str, **columns: Any) -> Any:
    return client.post(page_of(slug), columns)


def test_the_desk_shows_every_policy(desk: Client) -> None:
    told = said(desk, DESK)
    assert [kept.slug for kept in KEPT if str(kept.what) not in told] == []


def test_the_desk_says_how_large_and_how_old_and_what_went(desk: Client) -> None:
    event(60)
    purge("processed-events")
    event(20)
    told = said(desk, f"{DESK}?slug=processed-events")
    assert "30 days" in told
    assert "1 row deleted" in told
    assert re.search(r"\d+(\.\d)? [KM]B", told)


def test_growth_is_shown_from_the_second_day_on(desk: Client) -> None:
    TableSize.objects.create(table="integrations_integrationevent", day=ago(2).date(), rows=0, bytes=0)
    TableSize.objects.create(table="integrations_integrationevent", day=ago(0).date(), rows=3000, bytes=2 * 1024**2)
    assert "1,500 rows, 1.0 MB" in said(desk, f"{DESK}?slug=processed-events")


def test_the_desk_counts_down_to_a_full_disk(desk: Client) -> None:
    size = growth.sizes([])[growth.WHOLE].bytes
    StorageBudget.objects.create(gigabytes=(size + 5.5 * 1024**2) / growth.GIGABYTE)
    TableSize.objects.create(table=growth.WHOLE, day=ago(1).date(), rows=0, bytes=0)
    TableSize.objects.create(table=growth.WHOLE, day=ago(0).date(), rows=0, bytes=1024**2)
    told = said(desk, DESK)
    assert re.search(r"in \d days breached, budget", told)


def test_the_desk_says_when_the_next_purge_comes(desk: Client) -> None:
    Job.objects.filter(slug="cleanup").update(next_at=ago(-1 / 4))
    assert "Next purge in 5 h" in said(desk, DESK)


def test_the_desk_asks_as_much_however_many_rows_there_are(desk: Client) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            desk.get(DESK)
        return len(queries)

    desk.get(DESK)
    before = asked()
    for number in range(20):
        event(40 + number)
        letter(number)
    assert asked() == before
    assert before < 40


def test_the_preview_of_a_purge_is_a_dry_run(desk: Client) -> None:
    old = event(60)
    told = said(desk, f"{DESK}verbs/purge/?id={policy('processed-events').pk}")
    assert "Processed events: 1 would go" in told
    assert f"such as {old}" in told


def test_a_dry_run_says_at_least_where_its_time_is_up(monkeypatch: pytest.MonkeyPatch, desk: Client) -> None:
    monkeypatch.setattr(retention, "LOOKED_AT", 1)
    monkeypatch.setattr(retention, "DRY_RUN_SECONDS", 0.0001)
    for number in range(3):
        event(60 + number)
    assert "at least" in said(desk, f"{DESK}verbs/purge/?id={policy('processed-events').pk}")


def test_days_are_changed_in_a_form_and_it_is_written_down(desk: Client) -> None:
    assert save(desk, "processed-events", days="45").status_code == 302
    assert policy("processed-events").days == 45
    assert LogEntry.objects.get(object_id=str(policy("processed-events").pk)).user.username == "ana"


@pytest.mark.parametrize("days", ["0", "-1", "4000", "x", ""])
def test_days_that_are_none_are_refused_and_nothing_is_lost(desk: Client, days: str) -> None:
    assert save(desk, "processed-events", days=days).status_code == 200
    assert policy("processed-events").days == 30


def test_days_that_the_environment_sets_are_shown_and_not_offered(desk: Client, settings: Settings) -> None:
    settings.RETENTION_DAYS_JOBRUN = 15
    page = desk.get(page_of("job-runs")).content.decode()
    assert "set by the environment: RETENTION_DAYS_JOBRUN" in page
    assert 'name="days"' not in page


def test_a_policy_is_neither_added_nor_deleted(desk: Client) -> None:
    assert desk.get(f"{DESK}add/").status_code == 403
    assert desk.get(page_of("sessions").replace("change", "delete")).status_code == 403


def test_whoever_may_only_look_changes_nothing(client: Client, bia: User) -> None:
    client.force_login(bia)
    assert client.get(DESK).status_code == 200
    assert save(client, "sessions", days="3").status_code == 403
    assert client.post(f"{DESK}verbs/purge/?id={policy('sessions').pk}", {"confirm": "yes"}).status_code == 403
    assert not JobRun.objects.filter(job__slug="cleanup").exists()


def test_the_budget_is_a_form_of_its_own(desk: Client) -> None:
    assert desk.post(BUDGET, {"gigabytes": "120"}).status_code == 302
    assert StorageBudget.current().gigabytes == 120
    assert desk.post(BUDGET, {"gigabytes": "0"}).status_code == 200


def test_the_page_of_a_policy_leads_to_its_last_run(desk: Client) -> None:
    record = purge("sessions")
    assert reverse("admin:jobs_jobrun_change", args=[record.pk]) in desk.get(page_of("sessions")).content.decode()


# The countdown on archived rows


def test_archived_rows_say_when_they_go(desk: Client) -> None:
    rows = {
        "/admin/deadletters/deadletter/?status=archived": letter(78.5),
        "/admin/operations/pendingoperation/?archived=yes": operation(78.5, "failed", archived_at=ago(78.5)),
        "/admin/integrations/integrationevent/?archived=yes": event(78.5, "failed", archived_at=ago(78.5)),
    }
    for path, row in rows.items():
        assert "goes in 12 days" in said(desk, path)
        assert "goes in 12 days" in said(desk, f"{path.partition('?')[0]}{row.pk}/change/")


def test_a_row_whose_day_has_come_goes_with_the_next_purge(desk: Client) -> None:
    row = letter(90.5)
    assert "goes with the next purge" in said(desk, f"/admin/deadletters/deadletter/{row.pk}/change/")


def test_rows_of_a_held_policy_say_nothing(desk: Client) -> None:
    selection = Selection.ticked(RetentionPolicy, [policy("archived-dead-letters").pk])
    run(RetentionPolicy.hold, selection, ROOT, given={"reason": "audit"})
    row = letter(78)
    assert "goes" not in said(desk, f"/admin/deadletters/deadletter/{row.pk}/change/")


def test_the_api_says_when_an_archived_row_leaves(ana_api: Api, company: Company) -> None:
    row = letter(78)
    told = ana_api.get(f"/api/dead-letters/{row.pk}").json()
    assert told["leaves_at"] == retention.leaving(row).isoformat(timespec="milliseconds").replace("+00:00", "Z")  # type: ignore[union-attr] # archived
    waiting = company.operations["pending"][0]
    assert ana_api.get(f"/api/pending-operations/{waiting.pk}").json()["leaves_at"] is None


def test_the_api_shows_the_days_in_force(ana_api: Api, settings: Settings) -> None:
    settings.RETENTION_DAYS_JOBRUN = 15
    told = ana_api.get(f"/api/retention-policies/{policy('job-runs').pk}").json()
    assert (told["days"], told["set_by_environment"], told["source"]) == (15, True, "S3-39")
