"""What becomes of a payload in an edit: JSON Patch rules, what its connector says of it, and what changed."""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonpatch
from django.utils.translation import gettext as _
from jsonpointer import JsonPointer, JsonPointerException

from apps.integrations import bodies
from apps.integrations.connectors import CONNECTORS, OrderRefused, checked
from apps.integrations.masking import masked
from apps.integrations.models import Service
from apps.integrations.unmasking import holds_a_mask, in_a_secret

LARGEST = 1_000_000
"""Characters of a payload; `copy` could double it with every operation."""
OPERATIONS_AT_MOST = 100
NEEDS: Mapping[str, tuple[str, ...]] = {
    "add": ("path", "value"),
    "remove": ("path",),
    "replace": ("path", "value"),
    "move": ("from", "path"),
    "copy": ("from", "path"),
    "test": ("path", "value"),
}
"""The operations of RFC 6902, and the members that each needs."""
SHOWN = 400

Rule = Sequence[Mapping[str, Any]]
"""A JSON Patch: operations in their order."""


class BadRule(Exception):
    """A rule that is no JSON Patch, or one that we do not run. The text says which operation, and why."""


class DoesNotFit(Exception):
    """A rule cannot be applied to a payload, or what comes of it cannot be sent. `errors` are sentences by field."""

    def __init__(self, message: str, errors: Mapping[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.errors = dict(errors or {})


def rule_of(text: str) -> Rule:
    """Read a JSON Patch (RFC 6902) that a person wrote; raise `BadRule` where it is none."""
    try:
        found = bodies.read(text.encode())
    except (bodies.Unreadable, UnicodeEncodeError) as error:
        raise BadRule(str(error)) from error
    return checked_rule(found)


def checked_rule(rule: Any) -> Rule:
    """Return a JSON Patch once each of its operations is sound; raise `BadRule` naming the first that is not."""
    if not isinstance(rule, list) or not 1 <= len(rule) <= OPERATIONS_AT_MOST:
        raise BadRule(
            _('A rule is a list of 1 to %(most)s operations: [{"op": "replace", "path": "/stage_id", "value": 11}].')
            % {"most": OPERATIONS_AT_MOST}
        )
    for number, operation in enumerate(rule, 1):
        why = _why_unsound(operation)
        if why:
            raise BadRule(_("Operation %(number)s: %(why)s") % {"number": number, "why": why})
    return rule


def _why_unsound(operation: Any) -> str:
    if not isinstance(operation, dict) or operation.get("op") not in NEEDS:
        return _("op is one of %(known)s.") % {"known": ", ".join(NEEDS)}
    missing = [name for name in NEEDS[operation["op"]] if name not in operation]
    if missing:
        return _("%(op)s needs %(missing)s.") % {"op": operation["op"], "missing": ", ".join(missing)}
    for name in ("path", "from"):
        if name in operation and not _is_pointer(operation[name]):
            return _("%(name)s is a JSON Pointer, such as /person/phone.") % {"name": name}
    if holds_a_mask(operation.get("value")):
        return _("its value is masked. Type it whole.")
    if "from" in operation and in_a_secret(operation["from"]) and not in_a_secret(operation["path"]):
        return _("a secret stays under a name that is kept secret.")
    return ""


def _is_pointer(text: Any) -> bool:
    try:
        return isinstance(text, str) and JsonPointer(text) is not None
    except JsonPointerException:
        return False


def patched(payload: Any, rule: Rule) -> dict[str, Any]:
    """Return a payload after a rule, the payload itself untouched; raise `DoesNotFit` where the rule cannot be applied."""
    found = copy.deepcopy(payload)
    for operation in rule:
        found = _applied(found, operation)
    if not isinstance(found, dict):
        raise DoesNotFit(_("the payload would be no object any more"))
    _look_through(found)
    return found


def _applied(payload: Any, operation: Mapping[str, Any]) -> Any:
    told = {"op": operation["op"], "path": operation["path"] or "/"}
    try:
        # A copy: a value put into one payload must not be changed there by the operations that follow.
        found = jsonpatch.apply_patch(payload, [copy.deepcopy(operation)], in_place=True)
    except jsonpatch.JsonPatchTestFailed as error:
        raise DoesNotFit(_("the test of %(path)s failed") % told) from error
    except (jsonpatch.JsonPatchException, JsonPointerException, LookupError, TypeError, ValueError) as error:
        raise DoesNotFit(_("%(op)s %(path)s does not fit its payload") % told) from error
    if operation["op"] == "copy" and len(json.dumps(found)) > LARGEST:
        raise DoesNotFit(_("the payload would be too large"))
    return found


def _look_through(payload: dict[str, Any]) -> None:
    text = json.dumps(payload)
    if len(text) > LARGEST:
        raise DoesNotFit(_("the payload would be too large"))
    try:
        bodies.read(text.encode())
    except bodies.Unreadable as error:
        raise DoesNotFit(str(error)) from error


def check_sendable(service: Service, operation_type: str, payload: Mapping[str, Any]) -> None:
    """Raise `DoesNotFit` where the connector of the service could not carry the payload out."""
    try:
        checked(CONNECTORS[service.connector], operation_type, payload)
    except OrderRefused as error:
        raise DoesNotFit(error.message, error.errors) from error
    except KeyError as error:
        raise DoesNotFit(_("there is no connector %s") % service.connector) from error


@dataclass(frozen=True)
class Change:
    """One place in a payload that is another than before, masked for showing; None: it is not there."""

    path: str
    before: str | None
    after: str | None

    @property
    def hidden(self) -> bool:
        """Whether both look the same because they are masked."""
        return self.before == self.after


def changes(before: Any, after: Any) -> list[Change]:
    """Return what changed from one payload to another, field by field."""
    pairs = _pairs(before, after, masked(before), masked(after), ())
    return [Change(".".join(path), old, new) for path, old, new in pairs]


def _pairs(
    before: Any, after: Any, shown: Any, becomes: Any, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], str | None, str | None]]:
    if json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True):
        return
    both = [before, after, shown, becomes]
    if all(isinstance(each, dict) for each in both):
        for key in [*before, *(key for key in after if key not in before)]:
            inner = (*path, key)
            if key in before and key in after:
                yield from _pairs(before[key], after[key], shown[key], becomes[key], inner)
            else:
                yield inner, _written(shown, key), _written(becomes, key)
    elif all(isinstance(each, list) for each in both) and len(before) == len(after):
        for index, (old, new, old_shown, new_shown) in enumerate(zip(before, after, shown, becomes, strict=True)):
            yield from _pairs(old, new, old_shown, new_shown, (*path, str(index)))
    else:
        yield path, _text(shown), _text(becomes)


def _written(shown: Mapping[str, Any], key: str) -> str | None:
    return _text(shown[key]) if key in shown else None


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
