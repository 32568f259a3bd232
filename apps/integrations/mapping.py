"""The mapping language: JMESPath over one event, bounded in length, depth and cost. No code of ours is in it, and none is run.

An expression sees the event as `{"type", "source", "subject", "data"}`. Beside JMESPath's own functions there are five.
"""

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

import jmespath
from django.utils.translation import gettext as _
from jmespath import exceptions
from jmespath.functions import Functions, signature
from jmespath.visitor import Options, TreeInterpreter

from apps.integrations.masking import HIDDEN, masked, storable

LONGEST, DEEPEST_EXPRESSION = 1000, 40
"""Characters of an expression, and how deep its parts may stand in each other."""
MOST_FIELDS = 100
DEEPEST, LARGEST = 50, 256 * 1024
"""Levels and characters of what an expression, or a mapping in all, may make."""
GREATEST = 10**99
"""Numbers stay below a hundred digits, as those that are taken in."""
ALLOWANCE, STEP = 1_000_000, 4
"""What one mapping may spend on one event: a step costs four, a value that is made costs its size. Under a second in all."""
MAKERS = {
    "function_expression", "multi_select_list", "multi_select_dict", "flatten", "slice",
    "projection", "filter_projection", "value_projection",
}  # fmt: skip
"""The parts of an expression that make new values, which may double what they are given."""
PART = r"[A-Za-z_][\w-]{0,59}"
TARGET = re.compile(rf"{PART}(?:\.{PART}){{0,9}}")


class WrongExpression(Exception):
    """An expression that cannot be read, or that cannot be worked out on this event. The text says why, without a value."""


class WrongMapping(Exception):
    """A mapping that cannot be kept. `errors` are sentences by target."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{target}: {why}" if target else why for target, why in errors.items()))
        self.errors = dict(errors)


@dataclass(frozen=True)
class Rule:
    """How one field of a payload is filled: by an expression over the event, or always with the same value."""

    target: str
    expression: str = ""
    optional: bool = False
    """Left out where the event has nothing; otherwise the mapping fails."""
    value: Any = None
    """What is always sent, where there is no expression."""


@dataclass(frozen=True)
class Mapped:
    """What a mapping made of one event. `errors` are sentences by target; `left_out` are optional fields without a value."""

    payload: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


class Allowance:
    """What one mapping may still spend; `WrongExpression` where it is spent."""

    def __init__(self, units: int = ALLOWANCE) -> None:
        self.left = units

    def spend(self, units: int) -> None:
        """Take so much of it."""
        self.left -= units
        if self.left < 0:
            raise WrongExpression(_("costs too much on this event: it makes too many or too large values"))

    def weigh(self, value: Any) -> None:
        """Take as much as a value is large, and stop where that is too much."""
        stack = [value]
        while stack:
            item = stack.pop()
            self.spend(1 + (len(item) if isinstance(item, str) else 0))
            stack.extend(_parts(item))


class Vocabulary(Functions):
    """JMESPath's own functions and our five. A new one is documented in docs/adding-an-endpoint.md."""

    @signature({"types": ["string"]})
    def _func_lower(self, text: str) -> str:
        return text.lower()

    @signature({"types": ["string"]})
    def _func_upper(self, text: str) -> str:
        return text.upper()

    @signature({"types": ["string"]})
    def _func_trim(self, text: str) -> str:
        return " ".join(text.split())

    @signature({"types": ["string"]})
    def _func_digits(self, text: str) -> str:
        return "".join(character for character in text if character in "0123456789")

    @signature({"types": ["object"]}, {"types": []})
    def _func_lookup(self, table: dict[str, Any], key: Any) -> Any:
        return table.get(str(key)) if isinstance(key, str | int) and not isinstance(key, bool) else None


class Interpreter(TreeInterpreter):
    """Walks an expression over a value, and pays for each step."""

    def __init__(self, allowance: Allowance) -> None:
        super().__init__(Options(custom_functions=Vocabulary()))
        self.allowance = allowance

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        """Work out one part."""
        self.allowance.spend(STEP)
        value = super().visit(node, *args, **kwargs)
        if node["type"] in MAKERS:
            self.allowance.weigh(value)
        return value


def worked_out(expression: str, context: Any, allowance: Allowance | None = None) -> Any:
    """Return the value of an expression over an event; `WrongExpression` says why there is none."""
    tree = _parsed(expression.strip())
    try:
        value = Interpreter(allowance or Allowance()).visit(tree, context)
    except exceptions.JMESPathTypeError as error:
        raise WrongExpression(_misused(error)) from None
    except RecursionError:
        raise WrongExpression(_("works on values that are nested too deep")) from None
    except (exceptions.JMESPathError, TypeError, ValueError, ArithmeticError):
        raise WrongExpression(_("compares or converts values that do not fit each other")) from None
    check_value(value)
    return value


def holds(value: Any) -> bool:
    """Say whether a value counts as true, as JMESPath has it: 0 does; false, null and what is empty do not."""
    return value is not None and value is not False and value not in ("", [], {})


def check_expression(expression: str) -> None:
    """Raise `WrongExpression` where an expression cannot be read or is longer, deeper or richer than we allow."""
    _parsed(expression.strip())


def check_value(value: Any) -> None:
    """Raise `WrongExpression` where a value is none that could be kept and sent as JSON."""
    left, size = [(value, 1)], 0
    while left:
        item, depth = left.pop()
        size += 1 + (len(item) if isinstance(item, str) else 0)
        if depth > DEEPEST or size > LARGEST:
            raise WrongExpression(_("gives a value that is too large or nested too deep"))
        if not _is_json(item):
            raise WrongExpression(_("gives a value that is not JSON (NUL, a number too large, or a bare expression)"))
        left.extend((part, depth + 1) for part in _parts(item))


def rules_of(fields: Any) -> list[Rule]:
    """Read a mapping as it is stored: `{target: {"from": expression, "optional": true} or {"value": constant}}`.

    Raises `WrongMapping` with a sentence for each target that is wrong.
    """
    rules, errors = parted(fields)
    if errors:
        raise WrongMapping(errors)
    return rules


def parted(fields: Any) -> tuple[list[Rule], dict[str, str]]:
    """Return the rules of a mapping that can be read, and a sentence for each target that is wrong."""
    if not isinstance(fields, dict) or not fields:
        return [], {"": _("A mapping is an object with one entry for each field of the payload.")}
    if len(fields) > MOST_FIELDS:
        return [], {"": _("A mapping has at most %(most)s fields.") % {"most": MOST_FIELDS}}
    errors = {str(target): why for target, entry in fields.items() if (why := _wrong(str(target), entry, fields))}
    return [_rule(target, entry) for target, entry in fields.items() if target not in errors], errors


def fields_of(rules: Sequence[Rule]) -> dict[str, Any]:
    """Return rules as they are stored, in the order of their targets."""
    return {rule.target: _stored(rule) for rule in sorted(rules, key=lambda rule: rule.target)}


def mapped(rules: Sequence[Rule], context: Mapping[str, Any], allowance: Allowance | None = None) -> Mapped:
    """Fill a payload by rules. Nothing is raised: each field that cannot be filled has its sentence in `errors`."""
    made, spent = Mapped(), allowance or Allowance()
    for rule in rules:
        try:
            value = worked_out(rule.expression, context, spent) if rule.expression else rule.value
        except WrongExpression as error:
            made.errors[rule.target] = f"{rule.expression}: {error}"
            continue
        if value is not None or not rule.expression:
            _put(made.payload, rule.target.split("."), value)
        elif rule.optional:
            made.left_out.append(rule.target)
        else:
            made.errors[rule.target] = _("%(expression)s: finds nothing in this event") % {
                "expression": rule.expression
            }
    return made if made.errors else _bounded(made)


def functions() -> list[str]:
    """Return the names of all functions that an expression may use."""
    return sorted(Vocabulary.FUNCTION_TABLE)


@lru_cache(maxsize=1024)
def _parsed(expression: str) -> Any:
    if not expression:
        raise WrongExpression(_("is empty"))
    if len(expression) > LONGEST:
        raise WrongExpression(_("is longer than %(most)s characters") % {"most": LONGEST})
    try:
        tree = jmespath.compile(expression).parsed
    except (exceptions.JMESPathError, RecursionError) as error:
        raise WrongExpression(_misread(error)) from None
    _look_through(tree)
    return tree


def _misread(error: Exception) -> str:
    if isinstance(error, exceptions.IncompleteExpressionError) or getattr(error, "token_type", "") == "EOF":
        return _("ends too early")
    if isinstance(error, exceptions.LexerError):
        return _("cannot be read from column %(at)s on") % {"at": error.lexer_position + 1}
    if isinstance(error, exceptions.ParseError):
        told = {"at": error.lex_position + 1, "word": str(error.token_value)[:40]}
        return _("cannot be read at column %(at)s: %(word)s is not expected there") % told
    return _("is nested too deep")


def _misused(error: exceptions.JMESPathTypeError) -> str:
    told = {"name": error.function_name, "kinds": ", ".join(error.expected_types), "got": error.actual_type}
    return _("%(name)s() takes %(kinds)s and was given %(got)s") % told


def _look_through(tree: Any) -> None:
    """Refuse what would fail on every event: nesting, unknown functions, the wrong number of arguments."""
    left = [(tree, 1)]
    while left:
        node, depth = left.pop()
        if depth > DEEPEST_EXPRESSION:
            raise WrongExpression(_("is nested too deep"))
        if node["type"] == "function_expression":
            _check_call(node["value"], len(node["children"]))
        if node["type"] == "slice" and node["children"][2] == 0:
            raise WrongExpression(_("has a slice whose step is 0"))
        left.extend((child, depth + 1) for child in node["children"] if isinstance(child, dict))


def _check_call(name: str, given: int) -> None:
    if name not in Vocabulary.FUNCTION_TABLE:
        near = difflib.get_close_matches(name, functions(), n=1)
        hint = _("did you mean '%s'?") % near[0] if near else _("known are %s.") % ", ".join(functions())
        raise WrongExpression(_("knows no function %(name)s(); %(hint)s") % {"name": name[:40], "hint": hint})
    wanted = Vocabulary.FUNCTION_TABLE[name]["signature"]
    if given < len(wanted) or (given > len(wanted) and not wanted[-1].get("variadic")):
        told = {"name": name, "wanted": len(wanted), "given": given}
        raise WrongExpression(_("gives %(name)s() %(given)s arguments; it takes %(wanted)s") % told)


def _wrong(target: str, entry: Any, fields: Mapping[str, Any]) -> str:
    """Return what is wrong with one entry of a mapping, or nothing."""
    if not TARGET.fullmatch(target):
        return _("is no name of a field: letters, digits, _ and -, and dots between the levels")
    within = next((other for other in fields if target.startswith(f"{other}.")), "")
    if within:
        return _("cannot stand inside %(other)s, which is filled as a whole") % {"other": within}
    try:
        return _wrong_entry(entry) or _secret_in(target, entry)
    except WrongExpression as error:
        return str(error)


def _wrong_entry(entry: Any) -> str:
    if isinstance(entry, dict) and {*entry} == {"value"}:
        check_value(entry["value"])
        return ""
    known = isinstance(entry, dict) and "from" in entry and {*entry} <= {"from", "optional"}
    if not known or not isinstance(entry["from"], str) or not isinstance(entry.get("optional", False), bool):
        return _('takes {"from": "an expression"}, with "optional": true or without, or {"value": a constant}')
    check_expression(entry["from"])
    return ""


def _secret_in(target: str, entry: Mapping[str, Any]) -> str:
    """Refuse a constant that is a secret by its name or its looks: versions and exports are read by many."""
    shown = masked({target.rpartition(".")[2]: entry.get("value")})
    if HIDDEN not in json.dumps(shown, ensure_ascii=False):
        return ""
    return _("holds a secret; name it among the credentials of the service, which keeps it in a secret file")


def _rule(target: str, entry: Mapping[str, Any]) -> Rule:
    if "value" in entry:
        return Rule(target, value=entry["value"])
    return Rule(target, entry["from"].strip(), entry.get("optional", False))


def _stored(rule: Rule) -> dict[str, Any]:
    if not rule.expression:
        return {"value": rule.value}
    return {"from": rule.expression, **({"optional": True} if rule.optional else {})}


def _put(payload: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for part in path[:-1]:
        payload = cast("dict[str, Any]", payload.setdefault(part, {}))
    payload[path[-1]] = value


def _bounded(made: Mapped) -> Mapped:
    try:
        check_value(made.payload)
    except WrongExpression:
        made.errors[""] = _("The payload is larger than %(most)s characters in all.") % {"most": LARGEST}
    return made


def _parts(item: Any) -> Iterator[Any]:
    if isinstance(item, dict):
        yield from item
        yield from item.values()
    elif isinstance(item, list):
        yield from item


def _is_json(item: Any) -> bool:
    if isinstance(item, str):
        return storable(item) == item
    if isinstance(item, float):
        return math.isfinite(item) and abs(item) <= GREATEST
    if isinstance(item, int):
        return abs(item) <= GREATEST
    return item is None or isinstance(item, dict | list)
