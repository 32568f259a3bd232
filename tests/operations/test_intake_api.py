from collections.abc import Iterator
from typing import Any

import pytest

from apps.integrations.models import Service
from apps.operations.models import PendingOperation
from apps.operations.tasks import drain
from tests.api import Api, problem
from tests.cast import Company

pytestmark = pytest.mark.django_db
PATH = "/api/pending-operations"
DEAL = {"operation_type": "create_deal", "payload": {"title": "Ten chairs", "pipeline_id": 1, "stage_id": 10}}


def test_an_operation_is_taken_in_and_shown_where_the_answer_says(ana_api: Api, empty_company: Company) -> None:
    answer = ana_api.send(PATH, DEAL)
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert ana_api.get(answer["Location"]).json()["id"] == answer.json()["id"]


def test_a_bare_call_goes_to_the_service_that_knows_the_type(ana_api: Api, empty_company: Company) -> None:
    answer = ana_api.send(PATH, DEAL).json()
    assert (answer["service"], answer["queue"], answer["operation_type"]) == ("piperun", "piperun", "deal.create")


def test_both_spellings_of_a_type_are_taken(ana_api: Api, empty_company: Company) -> None:
    ana_api.send(PATH, DEAL)
    ana_api.send(PATH, DEAL | {"operation_type": "deal.create"})
    assert set(PendingOperation.objects.values_list("operation_type", flat=True)) == {"deal.create"}


def test_a_service_whose_row_names_no_connector_of_ours_takes_nothing(ana_api: Api, empty_company: Company) -> None:
    Service.objects.filter(slug="erp").update(connector="fax")
    assert ana_api.send(PATH, DEAL).status_code == 202
    assert "no connector fax" in problem(ana_api.send(PATH, DEAL | {"service": "erp"}), 422)["detail"]


def test_a_service_that_needs_no_credential_misses_none(ana_api: Api, empty_company: Company) -> None:
    assert ana_api.send(PATH, {"operation_type": "http.post", "payload": {}}).json()["notes"] == []


def test_who_handed_it_in_is_kept(ana_api: Api, empty_company: Company) -> None:
    ana_api.send(PATH, DEAL)
    assert PendingOperation.objects.get().source == "ana"


def test_work_without_its_credential_is_kept_and_the_answer_says_so(ana_api: Api, empty_company: Company) -> None:
    answer = ana_api.send(PATH, DEAL)
    assert answer.status_code == 202
    assert "piperun" in " ".join(answer.json()["notes"])


def test_work_for_a_paused_queue_is_kept_and_the_answer_says_so(ana_api: Api, empty_company: Company) -> None:
    ana_api.send(f"/api/queues/{empty_company.crm.pk}/pause", {"reason": "maintenance"})
    answer = ana_api.send(PATH, DEAL | {"queue": "crm"})
    assert "The queue crm is paused." in answer.json()["notes"]


@pytest.mark.parametrize(
    ("field", "value", "hint"),
    [
        ("operation_type", "creat_deal", "deal.create"),
        ("service", "piprun", "piperun"),
        ("queue", "bokos", "books"),
    ],
)
def test_a_misspelt_word_is_refused_with_the_nearest(
    ana_api: Api, empty_company: Company, field: str, value: str, hint: str
) -> None:
    found = problem(ana_api.send(PATH, DEAL | {field: value}), 422)
    assert hint in found["detail"]
    assert list(found["errors"]) == [field]


def test_a_payload_that_lacks_a_field_is_refused_by_field(ana_api: Api, empty_company: Company) -> None:
    found = problem(ana_api.send(PATH, {"operation_type": "create_deal", "payload": {"title": "x"}}), 422)
    assert "payload.stage_id" in found["errors"]


@pytest.mark.parametrize("field", ["status", "token", "attempts", "id", "due_at", "is_superuser", "lease_until"])
def test_columns_that_are_ours_are_not_taken_from_a_body(ana_api: Api, empty_company: Company, field: str) -> None:
    assert field in problem(ana_api.send(PATH, DEAL | {field: "x"}), 422)["errors"]


@pytest.mark.parametrize("who", ["bia_api", "caio_api"])
def test_only_who_may_hand_in_does(who: str, empty_company: Company, request: pytest.FixtureRequest) -> None:
    api: Api = request.getfixturevalue(who)
    assert "may not hand in" in problem(api.send(PATH, DEAL), 403)["detail"]
    assert not PendingOperation.objects.exists()


def test_a_thousand_are_taken_in_together(ana_api: Api, empty_company: Company) -> None:
    answer = ana_api.send(f"{PATH}/bulk", {"operations": [DEAL] * 1000})
    assert (answer.status_code, answer.json()["count"]) == (202, 1000)
    assert PendingOperation.objects.count() == 1000


def test_what_holds_a_list_is_said_once(ana_api: Api, empty_company: Company) -> None:
    ana_api.send(f"/api/queues/{empty_company.crm.pk}/pause", {"reason": "maintenance"})
    answer = ana_api.send(f"{PATH}/bulk", {"operations": [DEAL | {"queue": "crm"}] * 3}).json()
    assert answer["notes"].count("The queue crm is paused.") == 1


@pytest.fixture
def dead_broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody listens where the broker should be. Connections are pooled by the app: none outlives the test."""
    monkeypatch.setattr(drain.app.conf, "broker_url", "redis://127.0.0.1:1/0")
    drain.app._after_fork()  # type: ignore[attr-defined] # the only way to make an app forget its connections
    yield
    drain.app._after_fork()  # type: ignore[attr-defined] # the only way to make an app forget its connections


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("dead_broker")
def test_work_is_taken_in_while_the_broker_is_down(ana_api: Api, empty_company: Company) -> None:
    assert [ana_api.send(PATH, DEAL).status_code for _ in range(3)] == [202, 202, 202]
    assert PendingOperation.objects.count() == 3


def test_one_bad_operation_keeps_the_whole_list_out_and_is_named_by_its_index(
    ana_api: Api, empty_company: Company
) -> None:
    bad = {"operation_type": "create_deal", "payload": {}}
    found = problem(ana_api.send(f"{PATH}/bulk", {"operations": [DEAL, DEAL, bad]}), 422)
    assert (found["index"], PendingOperation.objects.count()) == (2, 0)
    assert "operations.2.payload.title" in found["errors"]


@pytest.mark.parametrize("many", [0, 1001])
def test_a_list_of_none_or_of_too_many_is_refused(ana_api: Api, empty_company: Company, many: int) -> None:
    problem(ana_api.send(f"{PATH}/bulk", {"operations": [DEAL] * many}), 422)


def test_two_services_that_know_the_type_are_named(ana_api: Api, empty_company: Company) -> None:
    wanted: dict[str, Any] = {"operation_type": "http.post", "payload": {"a": 1}}
    assert ana_api.send(PATH, wanted).json()["service"] == "erp"
    empty_company.erp.pk, empty_company.erp.slug = None, "wms"
    empty_company.erp.save(force_insert=True)
    assert "erp, wms" in problem(ana_api.send(PATH, wanted), 422)["detail"]


def test_a_service_is_known_by_its_other_names_too(ana_api: Api, empty_company: Company) -> None:
    Service.objects.filter(pk=empty_company.erp.pk).update(aliases=["financeiro"])
    body = {"operation_type": "http.post", "payload": {}, "service": "financeiro"}
    assert ana_api.send("/api/pending-operations", body).json()["service"] == "erp"
