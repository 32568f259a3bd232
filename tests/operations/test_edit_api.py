from typing import Any

import pytest

from apps.operations.models import PendingOperation
from tests.api import Api, problem
from tests.cast import Company, give_up

pytestmark = pytest.mark.django_db
PATH = "/api/pending-operations"
PAYLOAD = {"title": "Ten chairs", "pipeline_id": 1, "stage_id": 7, "email": "joao@example.com"}
RULE = [{"op": "replace", "path": "/stage_id", "value": 11}]


@pytest.fixture
def operation(empty_company: Company) -> PendingOperation:
    return give_up([empty_company.operation(payload=PAYLOAD)])[0]


def edit(api: Api, operation: PendingOperation, version: str | None = None, **body: Any) -> Any:
    """Send back what was shown, with another stage."""
    shown = api.get(f"{PATH}/{operation.pk}").json()
    told = {"payload": shown["payload"] | {"stage_id": 11}, "reason": "the stage was closed"} | body
    return api.send(f"{PATH}/{operation.pk}/edit", told, **{"If-Match": f'"{version or shown["version"]}"'})


def test_an_edit_keeps_masked_values_and_sends_it_again(ana_api: Api, operation: PendingOperation) -> None:
    answer = edit(ana_api, operation)
    operation.refresh_from_db()
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    assert operation.payload == PAYLOAD | {"stage_id": 11}


def test_an_edit_says_which_version_it_is_of(ana_api: Api, operation: PendingOperation) -> None:
    body = {"payload": PAYLOAD | {"stage_id": 11}, "reason": "because"}
    told = problem(ana_api.send(f"{PATH}/{operation.pk}/edit", body), 428)
    assert "If-Match" in told["detail"]


def test_an_edit_of_an_older_version_is_refused(ana_api: Api, operation: PendingOperation) -> None:
    told = problem(edit(ana_api, operation, version="1700000000000000"), 409)
    assert "another than the one you looked at" in told["detail"]


def test_a_dry_run_of_an_edit_only_says_what_would_change(ana_api: Api, operation: PendingOperation) -> None:
    told = edit(ana_api, operation, dry_run=True).json()
    assert told["changes"] == [{"path": "stage_id", "before": "7", "after": "11"}]
    assert not operation.versions.exists()


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"title": "x", "pipeline_id": 1}, "payload.stage_id"),
        ({**PAYLOAD, "email": "ana***@x.com"}, "payload.email"),
    ],
)
def test_a_payload_that_cannot_be_sent_is_refused_by_field(
    ana_api: Api, operation: PendingOperation, payload: dict[str, Any], field: str
) -> None:
    assert field in problem(edit(ana_api, operation, payload=payload), 422)["errors"]


@pytest.mark.parametrize(
    "body", [{"payload": PAYLOAD}, {"payload": []}, {"payload": 7, "reason": "x"}, {"status": "x"}]
)
def test_a_misfilled_edit_is_refused(ana_api: Api, operation: PendingOperation, body: Any) -> None:
    assert problem(ana_api.send(f"{PATH}/{operation.pk}/edit", body, **{"If-Match": "1"}), 422)["errors"]


def test_an_edit_that_changes_nothing_is_refused(ana_api: Api, operation: PendingOperation) -> None:
    assert "Nothing would change" in problem(edit(ana_api, operation, payload=PAYLOAD), 422)["detail"]


def test_an_edit_needs_a_reason(ana_api: Api, operation: PendingOperation) -> None:
    assert "needs a reason" in problem(edit(ana_api, operation, reason=" "), 422)["detail"]


def test_an_edit_needs_its_own_permission(bia_api: Api, operation: PendingOperation) -> None:
    assert "operations.edit_pendingoperation" in problem(edit(bia_api, operation), 403)["detail"]


def test_an_edit_of_nothing_is_404(ana_api: Api, operation: PendingOperation) -> None:
    body = {"payload": PAYLOAD, "reason": "x"}
    path = f"{PATH}/0192f0c1-2b3c-7def-8a90-0123456789ab/edit"
    assert problem(ana_api.send(path, body, **{"If-Match": "1"}), 404)


def test_one_rule_edits_many(ana_api: Api, operation: PendingOperation) -> None:
    body = {"filter": {"status": "failed"}, "rule": RULE, "reason": "the stage was closed"}
    told = ana_api.send(f"{PATH}/edit", body).json()
    operation.refresh_from_db()
    assert (told["moved"], operation.payload["stage_id"]) == (1, 11)


def test_one_rule_edits_what_stands_behind_dead_letters(ana_api: Api, operation: PendingOperation) -> None:
    body = {"noun": "dead-letters", "filter": {"status": "unresolved"}, "rule": RULE, "reason": "x"}
    assert ana_api.send(f"{PATH}/edit", body).json()["moved"] == 1


def test_a_rule_is_tried_without_doing_anything(ana_api: Api, operation: PendingOperation) -> None:
    body = {"filter": {"status": "failed"}, "rule": RULE, "reason": "x", "dry_run": True}
    told = ana_api.send(f"{PATH}/edit", body).json()
    assert (told["moving"], told["fits"], told["samples"][0]["changes"][0]["after"]) == (1, 1, "11")
    assert not operation.versions.exists()


def test_a_bad_rule_is_refused_with_its_operation(ana_api: Api, operation: PendingOperation) -> None:
    body = {"filter": {"status": "failed"}, "rule": [{"op": "set"}], "reason": "x"}
    assert "Operation 1" in problem(ana_api.send(f"{PATH}/edit", body), 422)["errors"]["rule"][0]


def test_a_rule_needs_the_permission_to_edit(bia_api: Api, operation: PendingOperation) -> None:
    body = {"filter": {"status": "failed"}, "rule": RULE, "reason": "x"}
    assert problem(bia_api.send(f"{PATH}/edit", body), 403)
