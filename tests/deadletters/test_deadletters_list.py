import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.deadletters.models import DeadLetter
from tests.cast import Company, letter_of

LIST = "/admin/deadletters/deadletter/"


@pytest.fixture
def page(client: Client, ana: User) -> Client:
    client.force_login(ana)
    return client


def test_the_inbox_leaves_archived_ones_out(page: Client, company: Company) -> None:
    shown = {row.pk for row in page.get(LIST).context["cl"].result_list}
    assert shown == {letter_of(row).pk for state in ("failed", "ambiguous") for row in company.operations[state]}


def test_a_row_offers_what_its_source_would_let_pass(page: Client, company: Company) -> None:
    rows = page.get(LIST).context["cl"].result_list
    offered = {row.source_id: {verb["name"] for verb in row.legal_verbs} for row in rows}
    assert offered[company.operations["failed"][0].pk] == {"retry", "resolve", "archive"}
    assert offered[company.operations["ambiguous"][0].pk] == {"resolve", "archive"}


def test_a_refusal_is_the_source_s_sentence(page: Client, company: Company) -> None:
    letter = letter_of(company.operations["ambiguous"][0])
    answer = page.post(f"{LIST}verbs/retry/?id={letter.pk}")
    assert answer.status_code == 409
    assert "outcome unknown: check the far end first" in answer.content.decode()


def test_the_causes_are_counted_with_their_newest_error(page: Client, company: Company) -> None:
    first, second = page.get(f"{LIST}causes/").context["causes"]
    assert (first["count"], first["sample"]) == (2, "stage_id: is required")
    assert (second["count"], second["sample"]) == (1, "no answer in 15 s")


def test_a_whole_cause_is_retried_with_one_button(page: Client, company: Company) -> None:
    (retry, _archive) = page.get(f"{LIST}causes/").context["causes"][0]["verbs"]
    page.post(retry["url"], {"confirm": "yes", "pace": "all", "key": "k"})
    assert DeadLetter.objects.filter(status="retrying").count() == 2


def test_a_dead_letter_links_its_source(page: Client, company: Company) -> None:
    operation = company.operations["failed"][0]
    text = page.get(f"{LIST}{letter_of(operation).pk}/change/").content.decode()
    assert f"/admin/operations/pendingoperation/{operation.pk}/change/" in text


def test_the_inbox_keeps_its_number_of_queries(page: Client, company: Company) -> None:
    page.get(LIST)
    with CaptureQueriesContext(connection) as few:
        page.get(LIST)
    company.failed(30)
    with CaptureQueriesContext(connection) as many:
        page.get(LIST)
    assert len(many) == len(few) <= 32
