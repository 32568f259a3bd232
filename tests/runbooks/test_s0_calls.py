"""Runbook 0's own calls, as they are written there; a key is what we add (S0-37)."""

import pytest

from apps.actions.models import ActionRun
from apps.operations.models import PendingOperation
from tests.api import Api, problem
from tests.cast import Company

pytestmark = pytest.mark.django_db
ROOT = "/api/pending-operations"


def test_1_status_has_exactly_five_keys_and_total_is_their_sum(ana_api: Api, company: Company) -> None:
    found = ana_api.get(f"{ROOT}/status").json()
    assert list(found) == ["pending", "processing", "completed", "failed", "total"]
    assert found == {"pending": 3, "processing": 2, "completed": 2, "failed": 3, "total": 10}


def test_2_list_shows_the_pending_oldest_first(ana_api: Api, company: Company) -> None:
    found = ana_api.get(f"{ROOT}/list?limit=50").json()
    ids = [row["id"] for row in found["operations"]]
    assert (found["count"], found["status_filter"], found["limit"], found["offset"]) == (3, "pending", 50, 0)
    assert ids == sorted(ids)


def test_2_list_leads_on_to_the_next_page(ana_api: Api, company: Company) -> None:
    first = ana_api.get(f"{ROOT}/list?limit=2").json()
    second = ana_api.get(first["next"]).json()
    assert [page["count"] for page in (first, second)] == [2, 1]
    assert second["next"] is None


def test_2_list_takes_an_offset(ana_api: Api, company: Company) -> None:
    rows = ana_api.get(f"{ROOT}/list").json()["operations"]
    assert ana_api.get(f"{ROOT}/list?offset=2").json()["operations"] == rows[2:]


@pytest.mark.parametrize("status", ["failed", "FAILED"])
def test_2_list_takes_a_status_in_any_case_and_leaves_archived_ones_out(
    ana_api: Api, company: Company, status: str
) -> None:
    found = ana_api.get(f"{ROOT}/list?status={status}").json()
    assert (found["count"], found["status_filter"]) == (3, "failed")


def test_2_an_unknown_status_is_refused_with_the_known_ones(ana_api: Api) -> None:
    assert "failed" in problem(ana_api.get(f"{ROOT}/list?status=faild"), 400)["detail"]


@pytest.mark.parametrize("limit", [0, 201, "x"])
def test_2_a_limit_out_of_range_is_refused_by_name(ana_api: Api, limit: object) -> None:
    assert list(problem(ana_api.get(f"{ROOT}/list?limit={limit}"), 422)["errors"]) == ["limit"]


def test_a_row_has_the_runbooks_columns(ana_api: Api, company: Company) -> None:
    row = ana_api.get(f"{ROOT}/list").json()["operations"][0]
    assert set(row) >= {
        "id", "operation_type", "entity_type", "entity_id", "payload", "status", "retry_count", "max_retries",
        "last_error", "last_attempt_at", "created_at", "updated_at", "completed_at", "due_at", "failure_class", "service",
    }  # fmt: skip
    assert row["operation_type"] == "create_deal"


def test_3_process_makes_the_waiting_due_and_says_where_to_follow(ana_api: Api, company: Company) -> None:
    company.operations_of(2, due_at="2099-01-01T00:00:00Z")
    answer = ana_api.send(f"{ROOT}/process")
    found = answer.json()
    assert (answer.status_code, found["processed"], found["pending_remaining"]) == (200, 2, 5)
    assert ana_api.get(f"/api/action-runs/{found['action_run']}").json()["moved"] == 2


def test_3_process_with_nothing_to_do_is_no_error(ana_api: Api, empty_company: Company) -> None:
    empty_company.operation()
    answer = ana_api.send(f"{ROOT}/process")
    assert (answer.status_code, answer.json()["processed"]) == (200, 0)


def test_3_process_takes_the_oldest_of_a_batch_size(ana_api: Api, empty_company: Company) -> None:
    _first, *rest = empty_company.operations_of(3, due_at="2099-01-01T00:00:00Z")
    assert ana_api.send(f"{ROOT}/process?batch_size=1").json()["processed"] == 1
    assert {operation.pk for operation in PendingOperation.objects.filter(due_at__year=2099)} == {
        one.pk for one in rest
    }


def test_4_retry_queues_one_operation(ana_api: Api, company: Company) -> None:
    operation = company.operations["failed"][0]
    found = ana_api.send(f"{ROOT}/{operation.pk}/retry").json()
    assert (found["success"], found["status"]) == (True, "pending")
    assert ActionRun.objects.get(pk=found["action_run"]).actor_name == "ana"


def test_4_retry_of_a_completed_operation_is_refused_with_a_sentence(ana_api: Api, company: Company) -> None:
    operation = company.operations["completed"][0]
    found = problem(ana_api.send(f"{ROOT}/{operation.pk}/retry"), 409)
    assert found["detail"].startswith(f"{operation} is completed; retry needs failed")


def test_4_retry_of_nothing_is_404(ana_api: Api) -> None:
    problem(ana_api.send(f"{ROOT}/0192f0c1-2b3c-7def-8a90-0123456789ab/retry"), 404)


def test_5_reset_forgets_attempts_and_error(ana_api: Api, company: Company) -> None:
    operation = company.operations["failed"][0]
    assert ana_api.send(f"{ROOT}/{operation.pk}/reset").json()["success"]
    row = ana_api.get(f"{ROOT}/{operation.pk}").json()
    assert (row["status"], row["retry_count"], row["last_error"]) == ("pending", 0, "")


def test_6_retry_all_failed_moves_those_whose_outcome_is_known(ana_api: Api, company: Company) -> None:
    answer = ana_api.send(f"{ROOT}/retry-all-failed")
    found = answer.json()
    assert (answer.status_code, found["total"], found["reset"], found["error"]) == (200, 3, 2, None)
    assert ana_api.get(f"{ROOT}/status").json()["failed"] == 1


def test_6_more_than_a_thousand_are_queued_and_the_answer_says_where(ana_api: Api, empty_company: Company) -> None:
    empty_company.failed(1001)
    answer = ana_api.send(f"{ROOT}/retry-all-failed")
    assert (answer.status_code, answer.json()["total"]) == (202, 1001)
    assert ana_api.get(answer["Location"]).json()["status"] == "queued"


def test_failed_list_shows_what_waits_for_a_person(ana_api: Api, company: Company) -> None:
    found = ana_api.get(f"{ROOT}/failed/list?limit=2").json()
    assert (found["count"], {row["status"] for row in found["operations"]}) == (2, {"failed"})


def test_detail_shows_the_error_and_every_attempt(ana_api: Api, company: Company) -> None:
    operation = company.operations["failed"][0]
    operation.attempt_set.create(duration_ms=12, method="POST", status_code=422, excerpt="stage_id: is required")
    found = ana_api.get(f"{ROOT}/{operation.pk}").json()
    assert (found["last_error"], found["attempts"][0]["status"]) == ("stage_id: is required", 422)


def test_detail_shows_what_the_crm_answered(ana_api: Api, company: Company) -> None:
    operation = company.operations["completed"][0]
    assert ana_api.get(f"{ROOT}/{operation.pk}").json()["payload"]["_crm_result"] == {"id": 4711}


def test_detail_masks_what_is_personal(ana_api: Api, empty_company: Company) -> None:
    operation = empty_company.operation(payload={"phone": "+55 11 98888-7777", "token": "abc"})
    shown = str(ana_api.get(f"{ROOT}/{operation.pk}").json()["payload"])
    assert "98888" not in shown
    assert "abc" not in shown


def test_an_id_that_is_none_is_refused_with_what_one_looks_like(ana_api: Api) -> None:
    assert "An id looks like" in problem(ana_api.get(f"{ROOT}/nonsense"), 422)["detail"]


@pytest.mark.parametrize("call", ["process", "retry-all-failed"])
def test_who_only_looks_may_not_reprocess(bia_api: Api, company: Company, call: str) -> None:
    assert "bia may not retry" in problem(bia_api.send(f"{ROOT}/{call}"), 403)["detail"]
