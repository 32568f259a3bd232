import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

from apps.actions.actors import Actor
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.operations.models import PendingOperation
from tests.cast import Company

LIST = "/admin/operations/pendingoperation/"


@pytest.fixture
def page(client: Client, ana: User) -> Client:
    client.force_login(ana)
    return client


def address(operation: PendingOperation) -> str:
    return f"{LIST}{operation.pk}/change/"


def test_the_page_shows_the_payload_masked(page: Client, empty_company: Company) -> None:
    operation = empty_company.operation(payload={"person": {"email": "joao@example.com"}, "api_token": "abc123"})
    text = page.get(address(operation)).content.decode()
    assert "j***@e…" in text
    assert "abc123" not in text


def test_the_page_shows_a_dash_where_there_is_nothing(page: Client, empty_company: Company) -> None:
    text = page.get(address(empty_company.operation())).content.decode()
    assert '<div class="readonly">—</div>' in text
    assert ">None<" not in text


def test_the_page_offers_legal_verbs_and_says_why_not_for_the_others(page: Client, company: Company) -> None:
    verbs = page.get(address(company.operations["completed"][0])).context["verbs"]
    why = {verb["name"]: verb["refusal"] for verb in verbs}
    assert why["confirm"] == ""
    assert why["reset"] == "completed; reset needs failed"


def test_the_page_tells_what_happened_as_one_timeline(page: Client, company: Company, as_ana: Actor) -> None:
    (first, _second) = company.operations["failed"]
    first.attempt_set.create(method="POST", status_code=422, failure_class="permanent_data", excerpt="stage_id")
    run(PendingOperation.retry, Selection.ticked(PendingOperation, [first.pk]), as_ana, given={"note": "mended"})
    entries = page.get(address(first)).context["entries"]
    assert {str(entry["label"]) for entry in entries} >= {"Retry", "POST 422", "Given up", "Taken in"}
    assert "mended" in [entry.get("detail") for entry in entries]


def test_the_page_tells_the_last_time_a_bulk_run_refused_the_row(page: Client, company: Company, as_ana: Actor) -> None:
    completed = company.operations["completed"]
    run(PendingOperation.reset, Selection.ticked(PendingOperation, [row.pk for row in completed]), as_ana)
    entries = page.get(address(completed[0])).context["entries"]
    assert "is completed" in entries[0]["detail"]


def test_the_page_links_the_dead_letter_and_the_record_at_the_service(page: Client, company: Company) -> None:
    (first, _second) = company.operations["failed"]
    PendingOperation.objects.filter(pk=first.pk).update(
        remote_id="4711", remote_url="http://crm.example.com/deals/4711"
    )
    text = page.get(address(first)).content.decode()
    assert 'href="http://crm.example.com/deals/4711"' in text
    assert "/admin/deadletters/deadletter/" in text


def test_an_address_that_is_no_web_address_is_not_linked(page: Client, empty_company: Company) -> None:
    operation = empty_company.operation(remote_id="4711", remote_url="javascript:alert(1)")
    assert "javascript:" not in page.get(address(operation)).content.decode()


@pytest.mark.parametrize("path", ["add/", "{key}/change/", "{key}/delete/"])
def test_nothing_is_added_changed_or_deleted_by_hand(client: Client, company: Company, path: str) -> None:
    client.force_login(User.objects.create_superuser("root"))
    operation = company.operations["failed"][0]
    answer = client.post(LIST + path.format(key=operation.pk), {"status": "completed"})
    operation.refresh_from_db()
    assert (answer.status_code, operation.status) == (403, "failed")


def test_an_id_that_is_not_there_leads_back_with_a_sentence(page: Client, company: Company) -> None:
    assert page.get(f"{LIST}nonsense/change/").status_code == 302


def test_the_references_of_the_runbook_are_linked(page: Client, company: Company, settings: Settings) -> None:
    settings.RUNBOOKS_URL = "https://docs.example.com/docs/runbooks/"
    text = page.get(address(company.operations["failed"][0])).content.decode()
    assert "https://docs.example.com/docs/runbooks/rotacionar-credenciais.md" in text
    assert "https://docs.example.com/.context/docs/architecture.md#sistema-de-fallback-para-crm-tech-030" in text
