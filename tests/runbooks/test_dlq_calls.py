"""The dead letter calls of runbook 1 §3.2 and runbook 4 scenario 3, as they are written there, host and key aside."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from apps.actions.models import ActionRun
from apps.deadletters.models import DeadLetter, FailureFamily, TransientRule
from tests.api import Api, key_of, problem
from tests.cast import Company, complete, give_up, letter_of

pytestmark = pytest.mark.django_db
BOTH = pytest.mark.parametrize("root", ["", "/api"])
ITEM = {"id", "event_id", "event_type", "source_system", "reason", "created_at"}
OURS = {
    "entity_type", "entity_id", "error_type", "failure_class", "status", "repeats", "resolved", "resolved_at",
    "resolution_notes",
}  # fmt: skip


@pytest.fixture
def letter(company: Company) -> DeadLetter:
    return letter_of(company.operations["failed"][0])


def states() -> list[str]:
    return sorted(DeadLetter.objects.values_list("status", flat=True))


@BOTH
def test_the_list_shows_the_inbox_and_says_which_page_it_is(ana_api: Api, company: Company, root: str) -> None:
    found = ana_api.get(f"{root}/dlq").json()
    assert found["meta"] == {"current_page": 1, "last_page": 1, "per_page": 20, "total": 3}
    assert len(found["data"]) == 3
    assert set(found["data"][0]) >= ITEM | OURS


def test_for_work_that_is_no_event_the_source_stands_for_it(ana_api: Api, letter: DeadLetter) -> None:
    row = next(row for row in ana_api.get("/api/dlq").json()["data"] if row["id"] == str(letter.pk))
    assert (row["event_id"], row["event_type"]) == (str(letter.source_id), "deal.create")
    assert (row["reason"], row["resolved"]) == ("stage_id: is required", False)


@BOTH
def test_unresolved_with_a_limit_and_a_bearer_key(company: Company, root: str) -> None:
    bearer = Client(headers={"Authorization": f"Bearer {key_of('etl', 'Supervisor')}"})
    found = bearer.get(f"{root}/dlq?status=unresolved&limit=2").json()
    assert (len(found["data"]), found["meta"]["per_page"], found["meta"]["total"]) == (2, 2, 3)


def test_pages_follow_each_other(ana_api: Api, company: Company) -> None:
    pages = [ana_api.get(f"/api/dlq?per_page=2&page={number}").json() for number in (1, 2, 3)]
    assert [len(page["data"]) for page in pages] == [2, 1, 0]
    assert {page["meta"]["last_page"] for page in pages} == {2}


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("event_type=deal.create", 3),
        ("event_type=invoice.post", 0),
        ("days=1", 3),
        ("status=archived", 2),
        ("error_type=permanent", 3),
        ("error_type=transient", 0),
        ("error_type=http_422", 2),
        ("class=ambiguous", 1),
    ],
)
def test_the_list_is_narrowed(ana_api: Api, company: Company, words: str, count: int) -> None:
    found = ana_api.get(f"/api/dlq?{words}").json()
    assert (len(found["data"]), found["meta"]["total"]) == (count, count)


@pytest.mark.parametrize(
    ("words", "status"),
    [("status=lost", 400), ("colour=red", 400), ("limit=201", 422), ("per_page=0", 422), ("page=99999", 422), ("days=0", 422)],
)  # fmt: skip
@BOTH
def test_a_wrong_word_is_refused_in_detail_and_in_error(
    ana_api: Api, company: Company, root: str, words: str, status: int
) -> None:
    found = problem(ana_api.get(f"{root}/dlq?{words}"), status)
    assert found["error"] == found["detail"] != ""


@BOTH
def test_a_key_is_needed(client: Client, company: Company, root: str) -> None:
    assert problem(client.get(f"{root}/dlq"), 401)["error"].startswith("API key is required")
    assert problem(Client().post(f"{root}/dlq/resolve-transient"), 401)["error"].startswith("API key is required")


@BOTH
def test_one_item_is_shown_with_its_masked_payload(ana_api: Api, empty_company: Company, root: str) -> None:
    operation = empty_company.operation(payload={"title": "Ten chairs", "phone": "+55 11 98888-7777"}, source="site")
    give_up([operation])
    found = ana_api.get(f"{root}/dlq/{letter_of(operation).pk}").json()["data"]
    assert (found["event"]["event_type"], found["event"]["source_system"]) == ("deal.create", "site")
    assert found["event"]["payload"]["title"] == "Ten chairs"
    assert "98888" not in str(found)


def test_an_item_whose_source_is_gone_is_still_shown(ana_api: Api, company: Company, letter: DeadLetter) -> None:
    company.operations["failed"][0].delete()
    assert ana_api.get(f"/api/dlq/{letter.pk}").json()["data"]["event"]["payload"] is None


def test_stats_are_those_of_status(ana_api: Api, company: Company) -> None:
    found = ana_api.get("/api/dlq/stats").json()
    assert found == {"total": 3, "last_24h": 3, "last_7d": 3, "by_type": {"deal.create": 3}}
    assert found == ana_api.get("/status").json()["dead_letter"]


@BOTH
def test_retry_queues_the_source_and_a_second_click_is_refused(
    ana_api: Api, company: Company, letter: DeadLetter, root: str
) -> None:
    found = ana_api.send(f"{root}/dlq/{letter.pk}/retry").json()
    assert set(found) >= {"message", "event_id", "action_run"}
    company.operations["failed"][0].refresh_from_db()
    assert (company.operations["failed"][0].status, letter_of(company.operations["failed"][0]).status) == (
        "pending",
        "retrying",
    )
    assert "already due" in problem(ana_api.send(f"{root}/dlq/{letter.pk}/retry"), 409)["error"]


def test_archive_without_a_body_records_that_no_reason_was_given(ana_api: Api, letter: DeadLetter) -> None:
    found = ana_api.send(f"/api/dlq/{letter.pk}/archive").json()
    run = ActionRun.objects.get(pk=found["action_run"])
    assert (run.given["reason"], run.actor_name) == ("no reason given (ana)", "ana")
    assert ana_api.get("/api/dlq").json()["meta"]["total"] == 2


def test_archive_takes_a_reason_and_restore_brings_it_back(ana_api: Api, letter: DeadLetter) -> None:
    ana_api.send(f"/dlq/{letter.pk}/archive", {"reason": "sent twice"})
    letter.refresh_from_db()
    assert (letter.status, letter.archive_reason) == ("archived", "sent twice")
    assert ana_api.send(f"/dlq/{letter.pk}/restore").json()["status"] == "unresolved"


def test_resolve_keeps_the_note(ana_api: Api, letter: DeadLetter) -> None:
    assert ana_api.send(f"/dlq/{letter.pk}/resolve", {"note": "by phone"}).status_code == 200
    letter.refresh_from_db()
    assert (letter.status, letter.resolution_notes) == ("resolved", "by phone")


def test_retry_all_takes_the_oldest_that_may_be_retried(ana_api: Api, company: Company) -> None:
    found = ana_api.send("/api/dlq/retry-all?limit=1").json()
    assert (found["retried"], found["total"]) == (1, 1)
    assert letter_of(company.operations["failed"][0]).status == "retrying"
    assert ana_api.send("/api/dlq/retry-all").json()["retried"] == 1


def test_retry_all_says_why_where_none_may_be(ana_api: Api, empty_company: Company) -> None:
    empty_company.failed(1, failure_class="ambiguous")
    found = ana_api.send("/api/dlq/retry-all").json()
    assert (found["retried"], found["total"]) == (0, 1)
    run = ana_api.get(f"/api/action-runs/{found['action_run']}").json()
    assert "outcome unknown" in next(iter(run["refusals"]))


@BOTH
def test_resolve_transient_resolves_what_the_rule_means(ana_api: Api, company: Company, root: str) -> None:
    company.failed(2, failure_class="transient", error_type="timeout", last_error="no answer")
    company.failed(1, failure_class="dependency_down", error_type="away", last_error="away")
    found = ana_api.send(f"{root}/dlq/resolve-transient").json()
    assert (found["resolved"], found["total"]) == (3, 3)
    assert states() == ["archived"] * 2 + ["resolved"] * 3 + ["unresolved"] * 3
    assert ActionRun.objects.get(pk=found["action_run"]).given["note"].startswith("Transient by the rule: ")


def test_resolve_transient_tells_beforehand_what_it_would_do(ana_api: Api, company: Company) -> None:
    company.failed(2, failure_class="transient")
    found = ana_api.send("/dlq/resolve-transient?dry_run=true").json()
    assert (found["resolved"], found["total"], found["action_run"]) == (0, 2, None)
    assert "resolved" not in states()


@pytest.mark.parametrize(
    ("rule", "count"), [({"older_than_minutes": 5}, 0), ({"attempts_at_least": 2}, 0), ({"attempts_at_least": 1}, 1)]
)
def test_the_rule_looks_at_age_and_attempts_too(
    ana_api: Api, empty_company: Company, rule: dict[str, int], count: int
) -> None:
    empty_company.failed(1, failure_class="transient")
    TransientRule.objects.create(**rule)
    assert ana_api.send("/dlq/resolve-transient").json()["resolved"] == count


@pytest.mark.parametrize("call", ["retry-all", "resolve-transient", "resolve-transient?dry_run=1"])
def test_who_only_looks_moves_nothing(bia_api: Api, company: Company, call: str) -> None:
    before = states()
    assert "bia may not" in problem(bia_api.send(f"/dlq/{call}"), 403)["error"]
    assert states() == before


def test_a_browser_is_led_to_the_page_with_the_same_rows(client: Client, ana: User, company: Company) -> None:
    client.force_login(ana)
    answer = client.get("/dlq?status=unresolved&limit=50", headers={"accept": "text/html"}, follow=True)
    assert answer.context["cl"].filters == {"status": "unresolved"}


def test_a_settled_item_says_so(ana_api: Api, empty_company: Company) -> None:
    rows = empty_company.failed(1)
    ana_api.send("/api/dlq/retry-all")
    complete(rows)
    (row,) = ana_api.get("/api/dlq?status=resolved").json()["data"]
    assert (row["resolved"], row["resolved_at"] is not None) == (True, True)


def test_the_family_of_a_call_is_shown_with_its_counts(ana_api: Api, company: Company) -> None:
    family = FailureFamily.objects.get(error_type="http_422")
    found = ana_api.get(f"/api/failure-families/{family.pk}").json()
    assert (found["counts"], found["services"]) == ({"unresolved": 2, "archived": 2}, {"piperun": 2})
    assert found["worked_last_time"] is None
