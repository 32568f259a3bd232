import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.jobs.models import Heartbeat, Queue
from tests.cast import Company

LIST = "/admin/jobs/queue/"
FORM = {"slug": "crm", "name": "CRM", "concurrency": "2", "most_waiting": "500", "longest_wait_seconds": "60"}


@pytest.fixture
def page(client: Client, ana: User) -> Client:
    client.force_login(ana)
    return client


def test_a_queue_shows_how_much_waits_and_since_when(page: Client, company: Company) -> None:
    rows = {row.slug: row.found for row in page.get(LIST).context["cl"].result_list}
    assert (rows["crm"].waiting, rows["books"].waiting) == (2, 1)
    assert rows["crm"].since == min(operation.due_at for operation in company.operations["pending"])


def test_a_queue_is_paused_with_a_reason(page: Client, company: Company) -> None:
    url = f"{LIST}verbs/pause/?id={company.crm.pk}"
    assert page.post(url).context["preview"].moving == 1
    page.post(url, {"confirm": "yes", "reason": "year-end closing", "until": ""})
    company.crm.refresh_from_db()
    assert (company.crm.status, company.crm.paused_reason) == ("paused", "year-end closing")


def test_a_pause_without_a_reason_is_refused_on_the_form(page: Client, company: Company) -> None:
    answer = page.post(f"{LIST}verbs/pause/?id={company.crm.pk}", {"confirm": "yes", "reason": " "})
    assert answer.status_code == 422
    assert "Pause needs a reason." in answer.content.decode()


def test_policy_is_changed_by_a_supervisor_and_audited(page: Client, ana: User, bia: User, company: Company) -> None:
    url, form = f"{LIST}{company.crm.pk}/change/", {**FORM, "concurrency": "7"}
    looking = Client()
    looking.force_login(bia)
    assert looking.post(url, form).status_code == 403
    assert page.post(url, form).status_code == 302
    assert Queue.objects.get(slug="crm").concurrency == 7
    assert LogEntry.objects.filter(object_id=str(company.crm.pk), user=ana).count() == 1


def test_a_form_cannot_write_the_state(page: Client, ana: User, company: Company) -> None:
    form = {**FORM, "status": "paused", "paused_reason": "mine"}
    page.post(f"{LIST}{company.crm.pk}/change/", form)
    company.crm.refresh_from_db()
    assert (company.crm.status, company.crm.paused_reason) == ("active", "")


def test_the_list_keeps_its_number_of_queries(page: Client, company: Company) -> None:
    page.get(LIST)
    with CaptureQueriesContext(connection) as few:
        page.get(LIST)
    Queue.objects.bulk_create(Queue(slug=f"q{number}", name="more") for number in range(20))
    with CaptureQueriesContext(connection) as many:
        page.get(LIST)
    assert len(many) == len(few) <= 20


@pytest.mark.parametrize("path", ["/admin/queues", "/admin/queues/"])
def test_the_path_of_other_consoles_leads_to_the_list(page: Client, client: Client, path: str) -> None:
    assert page.get(path, follow=True).redirect_chain[-1] == (LIST, 302)
    client.logout()
    assert client.get(path, follow=True).redirect_chain[-1][0].startswith("/admin/login/")


def test_all_queues_are_paused_and_resumed_in_one_go(page: Client, company: Company) -> None:
    for status in ("paused", "active"):
        whole = {str(each["label"]): each["url"] for each in page.get(LIST).context["whole"]}
        url = whole["Pause all" if status == "paused" else "Resume all"]
        page.post(url, {"confirm": "yes", "reason": "a deploy"})
        assert set(Queue.objects.values_list("status", flat=True)) == {status}


def test_a_viewer_is_offered_no_verb_for_all(client: Client, bia: User, company: Company) -> None:
    client.force_login(bia)
    assert client.get(LIST).context["whole"] == []


def test_a_paused_queue_says_by_whom(page: Client, company: Company) -> None:
    page.post(f"{LIST}verbs/pause/?id={company.crm.pk}", {"confirm": "yes", "reason": "year-end closing"})
    assert ", by ana: year-end closing" in page.get(LIST).content.decode()


def test_a_queue_shows_its_last_error(page: Client, company: Company) -> None:
    rows = {row.slug: row.found.lane.error for row in page.get(LIST).context["cl"].result_list}
    assert rows == {"books": "", "crm": "stage_id: is required"}


def test_heartbeats_are_shown_to_superusers(client: Client, db: None) -> None:
    client.force_login(User.objects.create_superuser("root"))
    Heartbeat.objects.create(name="tick", interval_seconds=0)
    assert "silent" in client.get("/admin/jobs/heartbeat/").content.decode()


def test_the_ticker_s_own_pages_are_gone(client: Client, db: None) -> None:
    client.force_login(User.objects.create_superuser("root"))
    assert client.get("/admin/django_celery_beat/periodictask/").status_code == 404
