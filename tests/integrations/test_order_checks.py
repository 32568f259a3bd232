from typing import Any

import pytest

from apps.integrations.connectors import CONNECTORS, OrderRefused, canonical, checked

PIPERUN = CONNECTORS["piperun"]
DEAL = {"title": "Line X", "pipeline_id": 1, "stage_id": 10}


def refused(operation_type: str, payload: dict[str, Any]) -> OrderRefused:
    with pytest.raises(OrderRefused) as caught:
        checked(PIPERUN, operation_type, payload)
    return caught.value


@pytest.mark.parametrize("word", ["create_deal", "create_person", "create_company", "create_note", "update_deal"])
def test_the_words_of_runbook_0_are_understood(word: str) -> None:
    verb, _underscore, noun = word.partition("_")
    assert canonical(word) == f"{noun}.{verb}"
    assert canonical(word) in PIPERUN.operations


def test_an_unknown_operation_type_is_refused_with_the_nearest_one() -> None:
    assert (
        refused("deal.craete", DEAL).message == "There is no operation type 'deal.craete'; did you mean 'deal.create'?"
    )
    assert "did you mean 'deal.create'?" in refused("create_deals", DEAL).message


def test_an_operation_type_like_no_other_is_refused_with_all_of_them() -> None:
    assert "known are company.create, company.update, deal.create" in refused("xyz", DEAL).message


def test_a_missing_field_is_named_and_what_it_may_be_called_there() -> None:
    refusal = refused("deal.create", {"title": "X", "pipeline_id": 1, "stageid": 10})
    assert refusal.errors == {"stage_id": ["is required; is it what you call 'stageid'?"]}
    assert refusal.message.startswith("The payload of deal.create cannot be sent: stage_id is required")


def test_a_value_of_the_wrong_kind_is_named() -> None:
    assert list(refused("deal.create", DEAL | {"stage_id": "ten"}).errors) == ["stage_id"]


def test_a_note_needs_something_to_be_on() -> None:
    assert "one of deal_id, person_id and company_id is required" in refused("note.create", {"text": "Hi"}).message


def test_fields_we_do_not_know_are_passed_on() -> None:
    assert checked(PIPERUN, "deal.create", DEAL | {"custom_fields": [{"id": 1, "value": "x"}]}) == "deal.create"
