import json
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.actions.models import ActionRun
from apps.operations.models import PendingOperation
from tests.cast import Company, matching

LIST = "/admin/operations/pendingoperation/"
VERBS = f"{LIST}verbs/"


@pytest.fixture
def page(client: Client, ana: User) -> Client:
    client.force_login(ana)
    return client


def shown(client: Client, query: str = "") -> set[UUID]:
    changes = client.get(LIST + query).context["cl"]
    return {row.pk for row in changes.result_list}


def keys(*operations: PendingOperation) -> set[UUID]:
    return {operation.pk for operation in operations}


def test_the_list_leaves_archived_operations_out(page: Client, company: Company) -> None:
    assert not shown(page) & keys(*company.operations["archived"])


def test_archived_operations_are_listed_where_the_filter_names_them(page: Client, company: Company) -> None:
    assert shown(page, "?archived=yes") == keys(*company.operations["archived"])


def test_a_filter_reads_the_same_words_as_the_api(page: Client, company: Company) -> None:
    found = shown(page, "?status=FAILED&class=ambiguous&service=piperun")
    assert found == keys(*company.operations["ambiguous"])


def test_a_search_finds_words_of_the_error(page: Client, company: Company) -> None:
    assert shown(page, "?q=NO+answer") == keys(*company.operations["ambiguous"])


def test_the_planner_knows_how_many_errors_hold_a_word(company: Company) -> None:
    company.failed(300, last_error="HTTP 503: upstream is away")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE operations_pendingoperation")
    (plan,) = json.loads(matching(q="upstream").rows().order_by().explain(format="json"))
    assert 250 < plan["Plan"]["Plan Rows"] < 350


def test_an_unknown_filter_value_is_a_sentence(page: Client, company: Company) -> None:
    answer = page.get(LIST, {"status": "fialed"})
    assert answer.status_code == answer.context["cl"].refusal.http_status
    assert "did you mean failed?" in answer.content.decode()


def test_an_unknown_filter_is_a_sentence(page: Client, company: Company) -> None:
    answer = page.get(LIST, {"satus": "failed"})
    assert answer.status_code == answer.context["cl"].refusal.http_status
    assert "did you mean status?" in answer.content.decode()


def test_each_row_offers_its_legal_verbs_only(page: Client, company: Company) -> None:
    rows = page.get(LIST).context["cl"].result_list
    offered = {row.pk: {verb["name"] for verb in row.legal_verbs} for row in rows}
    assert offered[company.operations["failed"][0].pk] == {"retry", "reset", "resolve", "archive", "confirm"}
    assert offered[company.operations["ambiguous"][0].pk] == {"send_again", "resolve", "archive", "confirm"}
    assert offered[company.operations["completed"][0].pk] == {"confirm"}


def test_a_viewer_is_offered_no_verb(client: Client, bia: User, company: Company) -> None:
    client.force_login(bia)
    context = client.get(LIST).context
    assert not any(row.legal_verbs for row in context["cl"].result_list)
    assert context["action_form"] is None


def test_pages_walk_the_key_without_an_offset(page: Client, empty_company: Company) -> None:
    operations = empty_company.operations_of(120)
    newest_first = [operation.pk for operation in reversed(operations)]
    first = page.get(LIST).context["cl"]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        second = page.get(LIST + first.keyset.older).context["cl"]
    assert [row.pk for row in second.result_list] == newest_first[50:100]
    assert not [query for query in queries if "OFFSET" in query["sql"]]
    back = page.get(LIST + second.keyset.newer).context["cl"]
    assert [row.pk for row in back.result_list] == newest_first[:50]


def test_the_list_keeps_its_number_of_queries(page: Client, company: Company) -> None:
    page.get(LIST)
    with CaptureQueriesContext(connection) as few:
        page.get(LIST)
    company.operations_of(60)
    with CaptureQueriesContext(connection) as many:
        page.get(LIST)
    assert len(many) <= len(few) + 2  # the estimate and the count, once there is a second page
    assert len(many) <= 15


def test_the_counts_come_from_the_tally(page: Client, company: Company) -> None:
    tabs = page.get(LIST).context["tabs"]
    counts = {tab["state"]: tab["count"] for tab in tabs}
    assert (counts["pending"], counts["failed"], counts["completed"]) == (3, 3, 2)


def test_a_press_in_a_row_retries_it(page: Client, company: Company) -> None:
    (first, _second) = company.operations["failed"]
    answer = page.post(f"{VERBS}retry/?id={first.pk}", {"back": f"{LIST}?status=failed", "key": "k1"}, follow=True)
    first.refresh_from_db()
    assert first.status == "pending"
    assert answer.redirect_chain == [(f"{LIST}?status=failed", 302)]
    assert "Retry: 1 row moved." in answer.content.decode()


def test_a_double_click_is_one_run(page: Client, company: Company) -> None:
    (first, _second) = company.operations["failed"]
    for _click in range(2):
        assert page.post(f"{VERBS}retry/?id={first.pk}", {"key": "k1"}).status_code == 302
    assert ActionRun.objects.filter(verb="retry").count() == 1


def test_ticked_rows_are_previewed_before_they_are_retried(page: Client, company: Company) -> None:
    ticked = [operation.pk for operation in company.operations["failed"]]
    names = [*page.get(LIST).context["action_form"].fields["action"].choices][1:]
    form = {"action": [name for name, _label in names], "index": "0", "_selected_action": ticked}
    answer = page.post(LIST, form)
    assert (answer.status_code, answer.context["preview"].moving) == (200, 2)
    assert not ActionRun.objects.filter(verb="retry").exists()


def test_all_that_match_can_be_chosen(page: Client, company: Company) -> None:
    form = {"action": ["retry"], "index": "0", "select_across": "1", "_selected_action": "any"}
    answer = page.post(f"{LIST}?status=failed", form)
    assert (answer.context["preview"].total, answer.context["preview"].moving) == (3, 2)
    assert answer.context["press_url"] == f"{VERBS}retry/?status=failed"


def test_a_press_without_a_tick_does_nothing_and_says_so(page: Client, company: Company) -> None:
    answer = page.post(LIST, {"action": ["retry"], "index": "0"}, follow=True)
    assert "Tick the rows first" in answer.content.decode()


def test_a_tick_that_is_no_id_is_refused(page: Client, company: Company) -> None:
    answer = page.post(LIST, {"action": ["retry"], "index": "0", "_selected_action": "' OR 1=1"})
    assert answer.status_code == 422
    assert "That is not an id." in answer.content.decode()


def test_a_column_says_what_its_word_means(page: Client, company: Company) -> None:
    assert 'title="Calls made so far, of those made before it is given up."' in page.get(LIST).content.decode()


def test_the_list_is_in_the_order_of_time_and_offers_no_other(page: Client, company: Company) -> None:
    text = page.get(f"{LIST}?o=1").content.decode()
    assert "aria-sort" not in text
    assert "sortable" not in text


def test_a_count_beyond_what_is_cheap_is_an_estimate(
    page: Client, empty_company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.actions.admin.lists.COUNTED_UP_TO", 60)
    empty_company.operations_of(70)
    keyset = page.get(LIST).context["cl"].keyset
    assert keyset.estimated
    assert keyset.total > 60
