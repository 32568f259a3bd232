import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.integrations.masking import HIDDEN, masked
from apps.integrations.unmasking import StillMasked, holds_a_mask, in_a_secret, unmasked

PERSON = {"email": "joao@example.com", "phone": "+5511987654321", "api_token": "abc123", "title": "Ten chairs"}

telling = st.sampled_from(
    ["joao@example.com", "maria@example.com", "+5511987654321", "+5511912344321", "529.982.247-25"]
)
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | telling
)
names = st.text(max_size=5) | st.sampled_from(["api_token", "email", "cookie", "password"])
payloads = st.dictionaries(
    names,
    st.recursive(leaves, lambda of: st.lists(of, max_size=4) | st.dictionaries(names, of, max_size=4), max_leaves=8),
)


@given(payload=payloads)
def test_a_masked_form_given_back_unchanged_changes_nothing(payload: dict[str, Any]) -> None:
    shown = json.dumps(masked(payload), indent=2, ensure_ascii=False)
    assert json.dumps(unmasked(json.loads(shown), payload)) == json.dumps(payload)


@given(payload=payloads, title=st.text())
def test_what_is_changed_beside_masked_values_leaves_them_true(payload: dict[str, Any], title: str) -> None:
    typed = {**masked(payload), "a new title": title}
    if not holds_a_mask(title):
        assert unmasked(typed, payload) == {**payload, "a new title": title}


@given(payload=payloads)
def test_no_merge_changes_what_it_was_given(payload: dict[str, Any]) -> None:
    before = copy.deepcopy(payload)
    unmasked(masked(payload), payload)
    assert json.dumps(payload) == json.dumps(before)


def test_a_value_that_was_typed_anew_is_taken() -> None:
    typed = masked(PERSON) | {"email": "ana@example.com", "api_token": "new"}
    assert unmasked(typed, PERSON) == PERSON | {"email": "ana@example.com", "api_token": "new"}


def test_a_masked_value_may_get_another_name() -> None:
    typed = masked(PERSON)
    typed["celular"] = typed.pop("phone")
    assert unmasked(typed, PERSON)["celular"] == PERSON["phone"]


def test_a_masked_number_keeps_its_number() -> None:
    payload = {"phone": 5511987654321, "n": 1}
    assert unmasked({**masked(payload), "n": 2}, payload) == {"phone": 5511987654321, "n": 2}


def test_true_and_one_are_two_values() -> None:
    assert unmasked({"vip": True}, {"vip": 1}) == {"vip": True}


@pytest.mark.parametrize(
    "typed",
    [
        {"email": "j***@e… or ana@example.com"},
        {"phone": "+5511****4321 (mobile)"},
        {"title": HIDDEN},
        {"note": HIDDEN},
        {"note": {"api_token": HIDDEN}},
    ],
)
def test_a_masked_text_that_was_changed_or_moved_from_a_secret_is_never_sent(typed: dict[str, Any]) -> None:
    with pytest.raises(StillMasked) as refused:
        unmasked({**masked(PERSON), **typed}, PERSON)
    assert next(iter(refused.value.errors)).split(".")[0] in typed


def test_a_masked_value_that_stands_for_two_is_not_guessed() -> None:
    payload = {"phones": ["+5511987654321", "+5511912344321"]}
    with pytest.raises(StillMasked, match="phones"):
        unmasked({"phones": masked(payload)["phones"][:1]}, payload)


def test_items_of_a_list_keep_their_values_when_one_is_taken_out() -> None:
    payload = {"people": [{"email": "joao@example.com"}, {"email": "ana@test.example"}, {"email": "bia@x.example"}]}
    typed = masked(payload)
    del typed["people"][0]
    assert unmasked(typed, payload) == {"people": payload["people"][1:]}


def test_a_pointer_knows_that_it_leads_into_a_secret() -> None:
    assert in_a_secret("/api_token")
    assert in_a_secret("/credentials/0")
    assert not in_a_secret("/title")
