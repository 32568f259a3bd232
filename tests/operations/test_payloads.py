import copy
import json
from contextlib import suppress
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.operations.payloads import BadRule, DoesNotFit, changes, checked_rule, patched, rule_of

leaves = st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8", exclude_characters="\0"))
values = st.recursive(
    leaves, lambda of: st.lists(of, max_size=3) | st.dictionaries(st.sampled_from("abc"), of, max_size=3), max_leaves=6
)
payloads = st.dictionaries(st.sampled_from("abc"), values, max_size=3)
pointers = st.sampled_from(["", "/a", "/b", "/a/b", "/a/0", "/a/-", "/c/a/b", "/~0", "/a/01", "/-1"])
operations = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]), "path": pointers, "from": pointers},
    optional={"value": values},
)


@given(payload=payloads, rule=st.lists(operations, min_size=1, max_size=6))
def test_a_rule_makes_an_object_or_refuses_and_leaves_the_payload_as_it_was(
    payload: dict[str, Any], rule: list[dict[str, Any]]
) -> None:
    before, written = copy.deepcopy(payload), copy.deepcopy(rule)
    with suppress(BadRule, DoesNotFit):
        assert isinstance(patched(payload, checked_rule(rule)), dict)
    assert (payload, rule) == (before, written)


@given(before=payloads, after=payloads)
def test_the_difference_of_two_payloads_leads_from_one_to_the_other(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    rule = jsonpatch.make_patch(before, after).patch
    assert not rule or json.dumps(patched(before, checked_rule(rule)), sort_keys=True) == json.dumps(
        after, sort_keys=True
    )


@given(before=payloads, after=payloads)
def test_there_are_changes_exactly_where_two_payloads_differ(before: dict[str, Any], after: dict[str, Any]) -> None:
    same = json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)
    assert bool(changes(before, after)) != same


def test_a_test_that_fails_says_so() -> None:
    with pytest.raises(DoesNotFit, match="the test of /stage_id failed"):
        patched({"stage_id": 7}, [{"op": "test", "path": "/stage_id", "value": 8}])


def test_a_test_tells_one_from_true() -> None:
    with pytest.raises(DoesNotFit):
        patched({"vip": 1}, [{"op": "test", "path": "/vip", "value": True}])


def test_copies_do_not_grow_without_end() -> None:
    doubling = [{"op": "copy", "from": "", "path": "/a"}, {"op": "copy", "from": "", "path": "/b"}] * 50
    with pytest.raises(DoesNotFit, match="too large"):
        patched({"text": "x" * 10_000}, doubling)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("{}", "list of 1 to 100"),
        ("[]", "list of 1 to 100"),
        ("[1]", "Operation 1: op is one of"),
        ('[{"op": "set", "path": "/a"}]', "op is one of"),
        ('[{"op": "add", "path": "/a"}]', "add needs value"),
        ('[{"op": "add", "path": "a", "value": 1}]', "JSON Pointer"),
        ('[{"op": "move", "path": "/a", "from": 7}]', "JSON Pointer"),
        ('[{"op": "add", "path": "/a", "value": "j***@e…"}]', "masked"),
        ('[{"op": "copy", "from": "/api_token", "path": "/title"}]', "a secret stays"),
        ('[{"op": "remove", "path": "/a"}, {"op": "remove"}]', "Operation 2"),
    ],
)
def test_a_bad_rule_is_refused_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(BadRule) as refused:
        rule_of(text)
    assert said in str(refused.value)


def test_a_change_of_what_is_masked_is_told_without_showing_it() -> None:
    (change,) = changes({"phone": "+5511987654321"}, {"phone": "+5511912344321"})
    assert change.hidden
    assert "98765" not in str(change)
