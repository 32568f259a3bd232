"""The pages of syncs: what they say, how many queries they take, and the form that reads from a date again."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from apps.actions.models import ActionRun
from apps.actions.running import database_now, run
from apps.actions.selections import Selection
from apps.actions.verbs import Refused
from apps.integrations.models import Service
from apps.jobs.models import Job, JobRun, Tenant
from apps.syncs.models import Customer, Sync, SyncCursor
from tests.api import Api, key_of
from tests.cast import ROOT, Company
from tests.contracts import faces

SWITCHBOARD = "/admin/syncs/sync/switchboard/"


def words(answer: Any) -> str:
    """What a page says."""
    return faces.words(answer)


@pytest.fixture
def erp(empty_company: Company) -> Service:
    return empty_company.erp


def made(erp: Service, *slugs: str, **cursor: Any) -> list[Sync]:
    """Syncs of tenants of these names, each read whole just now."""
    job, now = Job.objects.get(slug="erp-sync"), database_now()
    tenants = [Tenant.objects.create(slug=slug, name=slug.title()) for slug in slugs]
    syncs = [Sync.objects.create(job=job, tenant=tenant, service=erp) for tenant in tenants]
    for sync in syncs:
        SyncCursor.objects.create(sync=sync, entity="change", **{"passed_at": now, "watermark": {"after": 7}, **cursor})
    return syncs


def customers(sync: Sync, count: int = 1) -> list[Customer]:
    return Customer.objects.bulk_create(
        Customer(tenant=sync.tenant, code=str(n), name=f"Ana {n}", email=f"ana{n}@example.com", phone="+5531988887777")
        for n in range(count)
    )


@pytest.fixture
def page(client: Client, ana: User) -> Client:
    client.force_login(ana)
    return client


def test_the_list_says_how_far_each_is_and_what_went_wrong(page: Client, erp: Service) -> None:
    made(erp, "acme", last_error="erp-acme refuses our user")
    shown = words(page.get("/admin/syncs/sync/"))
    assert "erp-sync · acme" in shown
    assert "erp-acme refuses our user" in shown
    assert "0 min" in shown


def queries_of(page: Client, path: str) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    page.get(path)  # permissions and content types are read once
    with CaptureQueriesContext(connection) as queries:
        assert page.get(path).status_code == 200
    return len(queries)


@pytest.mark.parametrize("path", [SWITCHBOARD, "/admin/syncs/sync/"])
def test_a_page_takes_as_many_queries_for_thirty_tenants_as_for_one(page: Client, erp: Service, path: str) -> None:
    made(erp, "acme")
    before = queries_of(page, path)
    made(erp, *(f"tenant-{n:02}" for n in range(29)))
    assert queries_of(page, path) == before
    assert before <= 25


def test_the_list_of_customers_takes_as_many_queries_however_many_there_are(
    page: Client, erp: Service, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    [sync] = made(erp, "acme")
    customers(sync, 60)
    page.get("/admin/syncs/customer/")
    with django_assert_max_num_queries(12):
        assert "Ana 59" in words(page.get("/admin/syncs/customer/"))


def test_the_switchboard_shows_each_tenant_with_its_lag_failures_and_buttons(page: Client, erp: Service) -> None:
    [acme, _globex] = made(erp, "acme", "globex")
    JobRun.objects.bulk_create(JobRun(job=acme.job, tenant=acme.tenant, status="failed") for _n in range(3))
    shown = words(page.get(SWITCHBOARD))
    assert ("Acme" in shown, "Globex" in shown, "3 failures in 24 h" in shown) == (True, True, True)
    assert "Sync now" in shown
    assert "sync-crm-operacao" in shown


def test_the_switchboards_moving_part_comes_alone(page: Client, erp: Service) -> None:
    made(erp, "acme")
    part = page.get(SWITCHBOARD, headers={"HX-Request": "true", "HX-Target": "board"})
    assert part.content.decode().lstrip().startswith('<div id="board"')


def test_more_tenants_than_a_page_holds_are_on_the_next(page: Client, erp: Service) -> None:
    Tenant.objects.bulk_create(Tenant(slug=f"tenant-{n:03}", name=f"Tenant {n:03}") for n in range(55))
    assert "Tenant 054" not in words(page.get(SWITCHBOARD))
    assert "Tenant 054" in words(page.get(f"{SWITCHBOARD}?after=tenant-049"))


def test_a_tenants_button_queues_its_runs_and_a_syncs_button_one(page: Client, erp: Service) -> None:
    [sync] = made(erp, "acme")
    page.post(f"/admin/jobs/tenant/verbs/sync/?id={sync.tenant_id}", {"back": SWITCHBOARD})
    asked = JobRun.objects.get()
    assert (asked.job.slug, asked.tenant, asked.asked_by) == ("erp-sync", sync.tenant, "ana")
    page.post(f"/admin/syncs/sync/verbs/sync/?id={sync.pk}", {"back": SWITCHBOARD})
    assert JobRun.objects.count() == 1  # the one that waits will do


def test_a_customer_is_shown_and_found_with_what_is_personal_masked(page: Client, erp: Service) -> None:
    [sync] = made(erp, "acme")
    [ana] = customers(sync)
    shown = words(page.get(f"/admin/syncs/customer/{ana.pk}/change/"))
    assert "a***@e…" in shown
    assert "ana0@example.com" not in shown
    assert "Ana 0" in words(page.get("/admin/syncs/customer/?q=ana0@example.com"))
    assert "Nothing matches" in words(page.get("/admin/syncs/customer/?q=nobody"))


def test_nobody_changes_a_record_by_hand(page: Client, erp: Service) -> None:
    [ana] = customers(made(erp, "acme")[0])
    assert page.post(f"/admin/syncs/customer/{ana.pk}/change/", {"name": "Bia"}).status_code == 403
    assert page.get("/admin/syncs/customer/add/").status_code == 403


def test_a_sync_page_tells_its_cursors_and_leads_on(page: Client, erp: Service) -> None:
    [sync] = made(erp, "acme", counts={"read": 12, "unchanged": 12})
    shown = words(page.get(f"/admin/syncs/sync/{sync.pk}/change/"))
    assert "after 7" in shown
    assert "12 read" in shown
    assert "Rejected records" in shown


def test_the_form_says_what_would_be_read_again_before_it_does_it(page: Client, erp: Service) -> None:
    [sync] = made(erp, "acme")
    path = f"/admin/syncs/sync/resync/?id={sync.pk}"
    assert "From this day on" in words(page.get(path))
    given = {"since": "2026-01-31", "reason": "the mapping was wrong", "key": "k1"}
    looked = page.post(path, given)
    assert "Known since" in words(looked)
    assert not ActionRun.objects.exists()
    assert page.post(path, {**given, "confirm": "yes"}).status_code == 302
    page.post(path, {**given, "confirm": "yes"})  # a double click
    assert [(record.verb, record.given["since"]) for record in ActionRun.objects.all()] == [("resync", "2026-01-31")]


@pytest.mark.parametrize("since", ["", "soon", "2999-01-01"])
def test_the_form_refuses_a_day_that_has_not_come(page: Client, erp: Service, since: str) -> None:
    [sync] = made(erp, "acme")
    answer = page.post(f"/admin/syncs/sync/resync/?id={sync.pk}", {"since": since, "reason": "x", "confirm": "yes"})
    assert answer.status_code == 422
    assert not ActionRun.objects.exists()


def test_who_may_only_look_may_not_read_again(client: Client, bia: User, erp: Service) -> None:
    [sync] = made(erp, "acme")
    client.force_login(bia)
    assert client.get(f"/admin/syncs/sync/resync/?id={sync.pk}").status_code == 403
    assert client.get(SWITCHBOARD).status_code == 200
    assert "Sync now" not in words(client.get(SWITCHBOARD))


@pytest.mark.parametrize(
    ("given", "said"),
    [({"tenant": ""}, "reads for a tenant"), ({"job": "sync-crm-operacao"}, "reads for no tenant")],
)
def test_a_sync_is_set_up_only_as_its_job_reads(page: Client, erp: Service, given: dict[str, str], said: str) -> None:
    root = User.objects.create_superuser("root")
    page.force_login(root)
    tenant = Tenant.objects.create(slug="acme", name="Acme")
    told = {"job": "erp-sync", "tenant": str(tenant.pk), **given}
    job = Job.objects.get(slug=told["job"])
    answer = page.post("/admin/syncs/sync/add/", {**told, "job": str(job.pk), "service": str(erp.pk)})
    assert said in words(answer)
    assert not Sync.objects.exists()


def test_the_api_reads_again_from_a_date_and_looks_first(erp: Service) -> None:
    [sync] = made(erp, "acme")
    api, path = Api(key_of("mender", "Operator")), f"/api/syncs/{sync.pk}/resync"
    looked = api.send(path, {"since": "2026-01-31", "dry_run": True})
    assert (looked.status_code, looked.json()["records"][0]["entity"]) == (200, "change")
    assert not ActionRun.objects.exists()
    assert api.send(path, {"since": "2026-01-31", "reason": "a bug"}).json()["action_run"]
    assert api.send(path, {"since": "2999-01-01", "reason": "a bug"}).status_code == 422
    assert api.get(f"/api/syncs/{sync.pk}").json()["cursors"][0]["watermark"] == {"after": 7}


def test_the_api_lists_customers_with_what_is_personal_masked(erp: Service) -> None:
    customers(made(erp, "acme")[0], 2)
    told = Api(key_of("reader", "Viewer")).get("/api/customers?tenant=acme&q=Ana").json()["items"]
    assert [(one["name"], one["email"]) for one in told] == [("Ana 1", "a***@e…"), ("Ana 0", "a***@e…")]


def test_one_sync_is_run_by_name_on_the_command_line(erp: Service, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("run_job", "sync-crm-operacao")
    assert "1 succeeded" in capsys.readouterr().out


UNREAD = "is without an active sync of an active job, so nothing would be read; make one under Syncs"


def ticked(*slugs: str) -> list[str]:
    keys = dict(Tenant.objects.values_list("slug", "pk"))
    return [str(keys[slug]) for slug in slugs]


def queued() -> set[str]:
    """The tenants for which a run was queued."""
    return {run.tenant.slug for run in JobRun.objects.select_related("tenant") if run.tenant}


@pytest.fixture
def some(erp: Service) -> None:
    """Of four tenants only two are read: one has no sync, the sync of another is paused."""
    made(erp, "acme", "globex", "initech")
    Tenant.objects.create(slug="newcomer", name="Newcomer")
    paused = Sync.objects.get(tenant__slug="initech")
    run(Sync.pause, Selection.ticked(Sync, [paused.pk]), ROOT, given={"reason": "moving"})


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize("slug", ["newcomer", "initech"])
def test_a_tenant_for_which_nothing_would_be_read_is_refused(slug: str) -> None:
    with pytest.raises(Refused, match=rf"^{slug} {UNREAD}, or resume the sync or its job\.$"):
        run(Tenant.sync, Selection.ticked(Tenant, ticked(slug)), ROOT)
    assert not JobRun.objects.exists()


@pytest.mark.usefixtures("some")
def test_no_tenant_is_read_while_the_job_is_paused() -> None:
    job = Job.objects.get(slug="erp-sync")
    run(Job.pause, Selection.ticked(Job, [job.pk]), ROOT, given={"reason": "the ERP moves"})
    record = run(Tenant.sync, Selection.ticked(Tenant, ticked("acme", "globex")), ROOT)
    assert (record.moved, record.refused, queued()) == (0, 2, set())


@pytest.mark.usefixtures("some")
def test_of_several_tenants_those_without_a_sync_are_foreseen_and_refused_and_the_others_read(page: Client) -> None:
    keys = ticked("acme", "globex", "initech", "newcomer")
    shown = page.get("/admin/jobs/tenant/verbs/sync/", {"id": keys})
    told = shown.context["preview"]
    assert (told.moving, [count for _words, count in told.refused]) == (2, [2])
    assert "make one under Syncs" in words(shown)
    page.post("/admin/jobs/tenant/", {"action": ["sync"], "index": "0", "_selected_action": keys})
    record = ActionRun.objects.get(verb="sync")
    assert (record.moved, record.refused, queued()) == (2, 2, {"acme", "globex"})
    assert sorted(row["why"].partition(" ")[0] for row in record.refused_rows) == ["initech", "newcomer"]


@pytest.mark.usefixtures("some")
def test_the_api_and_the_command_say_the_same_of_tenants_without_a_sync(capsys: pytest.CaptureFixture[str]) -> None:
    answer = Api(key_of("mender", "Operator")).send(f"/api/tenants/{ticked('newcomer')[0]}/sync", {})
    assert (answer.status_code, UNREAD in answer.json()["detail"]) == (409, True)
    call_command("ops", "sync", "tenants", "--all", "--dry-run")
    assert "2 refused: without an active sync" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="1"):
        call_command("ops", "sync", "tenants", "--all")
    assert queued() == {"acme", "globex"}
