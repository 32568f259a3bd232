"""The mapping language: what an expression finds, what it may cost, and how a wrong one is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.integrations.mapping import (
    LONGEST,
    Allowance,
    Rule,
    WrongExpression,
    WrongMapping,
    check_expression,
    fields_of,
    functions,
    holds,
    mapped,
    rules_of,
    worked_out,
)
from tests.integrations.mappings import JSON, MAPPINGS

LEAD = {
    "type": "lead.created",
    "data": {"name": " Ana  Lima ", "phone": "(11) 91234-5678", "items": [{"n": 2}, {"n": 3}]},
}


def refusal(expression: str, context: Any = LEAD) -> str:
    with pytest.raises(WrongExpression) as refused:
        worked_out(expression, context)
    return str(refused.value)


def wrong(fields: Any) -> dict[str, str]:
    with pytest.raises(WrongMapping) as refused:
        rules_of(fields)
    return refused.value.errors


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("data.items[*].n", [2, 3]),
        ("sum(data.items[].n)", 5),
        ("join(' ', [type, trim(data.name)])", "lead.created Ana Lima"),
        ("digits(data.phone)", "11912345678"),
        ("lower(trim(data.name))", "ana lima"),
        ("upper('é')", "É"),
        ("lookup(`{\"lead.created\": 10}`, type)", 10),
        ("lookup(`{\"1\": \"one\"}`, `1`)", "one"),
        ("data.city || 'unknown'", "unknown"),
        ("data.nothing.at.all", None),
    ],
)  # fmt: skip
def test_an_expression_finds_its_value(expression: str, value: Any) -> None:
    assert worked_out(expression, LEAD) == value


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("", "is empty"),
        ("data.", "ends too early"),
        ("data name", "cannot be read at column 6: name is not expected there"),
        ("data.#", "cannot be read from column 6 on"),
        ("a" * (LONGEST + 1), "is longer than 1000 characters"),
        ("!" * 900 + "a", "is nested too deep"),
        ("[" * 41 + "a" + "]" * 41, "is nested too deep"),
        ("lowercase(type)", "knows no function lowercase(); did you mean 'lower'?"),
        ("lower()", "gives lower() 0 arguments; it takes 1"),
        ("a[::0]", "has a slice whose step is 0"),
    ],
)
def test_an_expression_that_cannot_be_read_is_refused_before_any_event(expression: str, why: str) -> None:
    with pytest.raises(WrongExpression) as refused:
        check_expression(expression)
    assert str(refused.value) == why


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("lower(data.city)", "lower() takes string and was given null"),
        ("type < `1`", "compares or converts values that do not fit each other"),
        ("contains(type, `1`)", "compares or converts values that do not fit each other"),
        ("&type", "gives a value that is not JSON (NUL, a number too large, or a bare expression)"),
        ("to_number('1e999')", "gives a value that is not JSON (NUL, a number too large, or a bare expression)"),
        ('`"\\u0000"`', "gives a value that is not JSON (NUL, a number too large, or a bare expression)"),
    ],
)
def test_what_cannot_be_worked_out_is_refused_in_a_sentence(expression: str, why: str) -> None:
    assert refusal(expression) == why


def test_a_refusal_shows_no_value_of_the_event() -> None:
    assert "91234" not in refusal("abs(data.phone)")


@pytest.mark.parametrize(
    "expression",
    [
        "|".join(["[@,@]"] * 35),
        "|".join(["[@,@]|to_string(@)"] * 15),
        "|".join(["{a:@,b:@,c:@}"] * 30),
        "|".join(["[@,@,@,@][]"] * 30),
        "|".join(["join('',[@,@,@,@])"] * 30),
    ],
)
def test_an_expression_that_doubles_what_it_is_given_is_stopped(expression: str) -> None:
    assert refusal(expression, "x" * 100).startswith("costs too much on this event")


def test_all_fields_of_a_mapping_share_one_allowance() -> None:
    rules = [Rule(f"f{number}", "data[*].[@,@]") for number in range(3)]
    made = mapped(rules, {"data": list(range(100))}, Allowance(4000))
    assert list(made.errors) == ["f2"]


def test_a_payload_has_a_largest_size() -> None:
    made = mapped([Rule(f"f{number}", "data") for number in range(3)], {"data": "x" * 100_000})
    assert made.errors == {"": "The payload is larger than 262144 characters in all."}


@pytest.mark.parametrize("value", [0, "0", [0], {"a": None}, True])
def test_a_condition_holds_as_jmespath_has_it(value: Any) -> None:
    assert holds(value)


@pytest.mark.parametrize("value", [None, False, "", [], {}])
def test_nothing_and_what_is_empty_do_not_hold(value: Any) -> None:
    assert not holds(value)


def test_fields_are_filled_by_expressions_and_constants_into_levels() -> None:
    fields = {
        "person.name": {"from": "trim(data.name)"},
        "person.kind": {"value": "lead"},
        "stage_id": {"value": 10},
        "note": {"from": "data.note", "optional": True},
    }
    made = mapped(rules_of(fields), LEAD)
    assert made.payload == {"person": {"name": "Ana Lima", "kind": "lead"}, "stage_id": 10}
    assert made.left_out == ["note"]
    assert made.errors == {}


def test_a_field_that_finds_nothing_is_an_error_unless_it_is_optional() -> None:
    made = mapped(rules_of({"title": {"from": "data.titel"}}), LEAD)
    assert made.errors == {"title": "data.titel: finds nothing in this event"}


def test_every_wrong_field_has_its_own_sentence() -> None:
    errors = wrong({"a b": {"value": 1}, "x": {"from": "data."}, "y": "data.name", "z": {"value": float("inf")}})
    assert errors["a b"].startswith("is no name of a field")
    assert errors["x"] == "ends too early"
    assert errors["y"].startswith('takes {"from": "an expression"}')
    assert errors["z"].startswith("gives a value that is not JSON")


@pytest.mark.parametrize("fields", [None, [], {}, "x", {f"f{number}": {"value": 1} for number in range(101)}])
def test_a_mapping_has_one_to_a_hundred_fields(fields: Any) -> None:
    assert list(wrong(fields)) == [""]


def test_a_field_stands_in_no_field_that_is_filled_as_a_whole() -> None:
    errors = wrong({"person": {"from": "data"}, "person.name": {"value": "Ana"}})
    assert errors == {"person.name": "cannot stand inside person, which is filled as a whole"}


@pytest.mark.parametrize("fields", [{"api_token": {"value": "abc"}}, {"a": {"value": {"auth": ["Bearer abcdef123"]}}}])
def test_no_secret_is_kept_in_a_mapping(fields: Any) -> None:
    assert next(iter(wrong(fields).values())).startswith("holds a secret; name it among the credentials")


def test_each_function_of_ours_is_documented() -> None:
    assert {"digits", "lookup", "lower", "trim", "upper", "not_null", "join"} <= {*functions()}


@given(MAPPINGS)
def test_what_is_stored_is_read_back_the_same(fields: dict[str, Any]) -> None:
    assert fields_of(rules_of(json.loads(json.dumps(fields)))) == fields


@pytest.mark.filterwarnings("ignore:deprecated string literal:PendingDeprecationWarning")
@given(st.text(alphabet="ab.[]*?&|!@{}(),:'\"`01<=> \\-", max_size=40), JSON)
def test_any_text_is_an_expression_or_a_refusal(text: str, value: Any) -> None:
    try:
        found = worked_out(text, {"data": value, "a": value, "b": [value]})
    except WrongExpression:
        return
    json.dumps(found, allow_nan=False)
