from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.deadletters.failures import FailureClass
from apps.integrations.connectors import CONNECTORS
from apps.integrations.connectors.piperun import PAGES
from apps.integrations.connectors.shape import Order
from apps.integrations.outcome import Outcome, Unanswered
from tests.contracts.connectors import PAYLOADS, SITES, answer, order, play, taken

OPERATIONS = CONNECTORS["piperun"].operations
[SITE] = SITES["piperun"]
AN_HOUR_AGO = datetime(2026, 1, 20, 11, 2, 3, tzinfo=UTC)
OURS = order("deal.create", SITE).reference


def again(name: str, **changes: Any) -> Order:
    """An order whose first call may have taken effect."""
    return order(name, SITE, called_at=AN_HOUR_AGO, **changes)


def page(*rows: dict[str, Any], **meta: Any) -> Any:
    return answer(200, {"success": True, "data": list(rows), "meta": meta or {"cursor": {"next": None}}})


def performed(given: Order, *answers: Any) -> tuple[Outcome, list[Any]]:
    return play(OPERATIONS[given.operation_type].perform(given), answers)


def confirmed(given: Order, *answers: Any) -> Outcome:
    confirm = OPERATIONS[given.operation_type].confirm
    assert confirm
    return play(confirm(given), answers)[0]


# Creating


def test_a_first_call_creates_without_a_look_and_writes_our_reference() -> None:
    outcome, [asked] = performed(order("deal.create", SITE), taken())
    assert (asked.method, asked.json["reference"], asked.headers["token"]) == ("POST", OURS, "f" * 32)
    assert (outcome.remote_id, outcome.remote_url) == ("77", "https://crm/deals/77")


def test_our_own_notes_on_the_payload_stay_here() -> None:
    noted = order("deal.create", SITE, payload=PAYLOADS["deal.create"] | {"_crm_result": {"id": 1}})
    _outcome, [asked] = performed(noted, taken())
    assert "_crm_result" not in asked.json


def test_a_company_comes_back_in_a_list_of_one() -> None:
    outcome, _asked = performed(order("company.create", SITE), answer(200, {"success": True, "data": [{"id": 8}]}))
    assert outcome.remote_id == "8"


def test_a_200_that_says_no_success_is_a_refusal() -> None:
    refused = {"success": False, "message": ["Etapa inválida"], "data": {"id": 1}}
    outcome, _asked = performed(order("deal.create", SITE), answer(200, refused))
    assert (outcome.failure_class, outcome.message) == (FailureClass.PERMANENT_DATA, "Etapa inválida")


# Errors


def test_errors_are_told_by_field() -> None:
    refused = {
        "success": False,
        "message": "Inválido",
        "data": {"stage_id": "O campo é obrigatório.", "title": ["a", "b"]},
    }
    outcome, _asked = performed(order("deal.create", SITE), answer(422, refused))
    assert outcome.errors == {"stage_id": ["O campo é obrigatório."], "title": ["a", "b"]}
    assert outcome.message == "Answered 422: Inválido stage_id: O campo é obrigatório. title: a b"


def test_the_message_is_read_where_its_name_begins_with_a_space() -> None:
    outcome, _asked = performed(order("deal.update", SITE), answer(404, {"success": False, " message": "Not Found"}))
    assert outcome.message == "Answered 404: Not Found"


@pytest.mark.parametrize(("asked_for", "waits"), [("1", 5), ("30", 30), ("", 5)])
def test_a_429_waits_at_least_five_seconds(asked_for: str, waits: float) -> None:
    outcome, _asked = performed(order("deal.create", SITE), answer(429, {}, Retry_After=asked_for))
    assert outcome.retry_after == waits


# Looking before creating again


def test_a_look_that_finds_our_reference_completes_and_creates_nothing() -> None:
    outcome, asked = performed(
        again("deal.create"), page({"id": 5, "reference": "other"}, {"id": 6, "reference": OURS})
    )
    assert (outcome.succeeded, outcome.remote_id, [one.method for one in asked]) == (True, "6", ["GET"])


def test_a_look_that_surely_finds_nothing_creates() -> None:
    outcome, asked = performed(again("deal.create"), page({"id": 5, "reference": "other"}), taken())
    assert (outcome.remote_id, [one.method for one in asked]) == ("77", ["GET", "POST"])


def test_a_look_reaches_a_day_behind_the_first_call_for_the_zone_is_assumed() -> None:
    _outcome, asked = performed(again("deal.create"), page({"id": 6, "reference": OURS}))
    assert asked[0].params["created_at_start"] == "2026-01-19 08:02:03"
    assert asked[0].params["reference"] == OURS


def test_a_look_follows_cursors() -> None:
    first = page({"id": 9, "reference": "x"}, cursor={"next": "abc"})
    outcome, asked = performed(again("deal.create"), first, page({"id": 6, "reference": OURS}))
    assert (asked[0].params["cursor"], asked[1].params["cursor"], outcome.remote_id) == ("", "abc", "6")


def test_a_look_follows_numbered_pages() -> None:
    first = page({"id": 9, "reference": "x"}, current_page=1, total_pages=2, per_page=200)
    last = page({"id": 6, "reference": OURS}, current_page=2, total_pages=2, per_page=200)
    outcome, asked = performed(again("deal.create"), first, last)
    assert (asked[1].params["page"], outcome.remote_id) == ("2", "6")


def test_a_look_that_has_no_end_cannot_say() -> None:
    pages = [page({"id": 9, "reference": "x"}, cursor={"next": str(number)}) for number in range(PAGES)]
    outcome, asked = performed(again("deal.create"), *pages)
    assert (outcome.failure_class, outcome.unsure, len(asked)) == (FailureClass.AMBIGUOUS, True, PAGES)


@pytest.mark.parametrize("given", [answer(422, {"message": "Invalid cursor"}), answer(200, "<html>"), answer(200, {})])
def test_a_list_that_cannot_be_read_settles_nothing(given: Any) -> None:
    outcome, _asked = performed(again("deal.create"), given)
    assert (outcome.failure_class, outcome.unsure) == (FailureClass.AMBIGUOUS, True)


@pytest.mark.parametrize(
    ("status", "failure_class"),
    [(401, FailureClass.CREDENTIAL), (429, FailureClass.RATE_LIMITED), (502, FailureClass.TRANSIENT)],
)
def test_a_look_that_is_refused_is_made_again_later(status: int, failure_class: FailureClass) -> None:
    outcome, _asked = performed(again("deal.create"), answer(status, {}))
    assert (outcome.failure_class, outcome.unsure) == (failure_class, False)


def test_a_lost_look_creates_nothing() -> None:
    with pytest.raises(Unanswered):
        performed(again("deal.create"), Unanswered(True, "timed out"))


def test_a_person_is_looked_for_by_our_mark_in_its_external_code() -> None:
    outcome, asked = performed(again("person.create"), page({"id": 3, "external_code": OURS}))
    assert (asked[0].params["external_code"], outcome.remote_id) == (OURS, "3")


def test_a_mark_that_is_not_ours_proves_nothing() -> None:
    given = again("person.create", payload={"name": "Ana", "external_code": "lead-1"})
    outcome, _asked = performed(given, page({"id": 3, "external_code": "lead-1"}))
    assert (outcome.failure_class, outcome.unsure, outcome.remote_id) == (FailureClass.AMBIGUOUS, True, "3")


def test_a_note_like_ours_is_shown_to_a_person() -> None:
    outcome, asked = performed(again("note.create"), page({"id": 4, "text": "Called back", "deal_id": 1}))
    assert (outcome.failure_class, outcome.unsure, outcome.remote_id) == (FailureClass.AMBIGUOUS, True, "4")
    assert "text" not in asked[0].params


def test_a_note_with_another_text_is_not_ours() -> None:
    outcome, _asked = performed(again("note.create"), page({"id": 4, "text": "Called", "deal_id": 1}), taken())
    assert outcome.remote_id == "77"


# A CPF that is there already

TAKEN = answer(422, {"success": False, "message": "Inválido", "data": {"cpf": ["O CPF já existe."]}})


def test_a_person_whose_cpf_is_there_is_found_and_linked() -> None:
    outcome, asked = performed(order("person.create", SITE), TAKEN, page({"id": 12, "cpf": "52998224725"}))
    assert (outcome.failure_class, outcome.succeeded, outcome.remote_id) == (FailureClass.DUPLICATE, True, "12")
    assert asked[1].params["cpf"] == "529.982.247-25"


def test_a_person_whose_cpf_is_there_but_not_found_is_refused() -> None:
    outcome, _asked = performed(order("person.create", SITE), TAKEN, page({"id": 12, "cpf": "111.444.777-35"}))
    assert (outcome.failure_class, list(outcome.errors)) == (FailureClass.PERMANENT_DATA, ["cpf"])


def test_a_look_for_the_cpf_that_is_refused_is_made_again_later() -> None:
    outcome, _asked = performed(order("person.create", SITE), TAKEN, answer(429, {}))
    assert outcome.failure_class == FailureClass.RATE_LIMITED


# Updating


def test_an_update_writes_the_values_to_the_record_of_the_id() -> None:
    _outcome, [asked] = performed(order("deal.update", SITE), taken())
    assert (asked.method, asked.url, asked.json) == ("PUT", "https://crm.example.com/v1/deals/1", {"title": "Line Y"})


# Confirming


def test_confirm_finds_the_record_by_our_reference() -> None:
    assert confirmed(order("deal.create", SITE), page({"id": 6, "reference": OURS})).remote_id == "6"


def test_confirm_says_that_it_is_not_there() -> None:
    assert confirmed(order("deal.create", SITE), page()).failure_class == FailureClass.PERMANENT_DATA


def test_confirm_reads_a_known_record_by_its_id() -> None:
    known = replace(order("deal.create", SITE), remote_id="6")
    assert confirmed(known, answer(200, {"success": True, "data": {"id": 6}})).succeeded
    assert confirmed(known, answer(404, {})).failure_class == FailureClass.PERMANENT_DATA


def test_confirm_compares_what_an_update_wrote() -> None:
    given = order("deal.update", SITE, payload={"id": 1, "title": "Line Y", "value": 1500})
    same, other = {"id": 1, "title": "Line Y", "value": "1500.00"}, {"id": 1, "title": "Line Z", "value": "1500.00"}
    assert confirmed(given, answer(200, {"success": True, "data": same})).succeeded
    assert "title" in confirmed(given, answer(200, {"success": True, "data": other})).message
