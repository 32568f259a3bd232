"""The catalogue: every kind of service we can speak to. A new one is a file, a line here and a test file."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from pydantic import ValidationError

from apps.integrations.connectors.erp import ERP
from apps.integrations.connectors.http import HTTP
from apps.integrations.connectors.piperun import PIPERUN
from apps.integrations.connectors.shape import Connector

CONNECTORS: dict[str, Connector] = {
    "piperun": PIPERUN,
    "erp": ERP,
    "http": HTTP,
}


class OrderRefused(Exception):
    """An operation no connector could carry out. `errors` are sentences by field of its payload."""

    def __init__(self, message: str, errors: Mapping[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.errors = dict(errors or {})


def canonical(operation_type: str) -> str:
    """Return our name of an operation type: runbook 0's `create_deal` is `deal.create` (S0-4)."""
    return re.sub(r"^(create|update)_(\w+)$", r"\2.\1", operation_type.strip())


def checked(connector: Connector, operation_type: str, payload: Mapping[str, Any]) -> str:
    """Return the operation type's canonical name; raise `OrderRefused` where it or the payload cannot be carried out."""
    name = canonical(operation_type)
    if name not in connector.operations:
        raise OrderRefused(_unknown(_("operation type"), operation_type, connector.operations))
    try:
        connector.operations[name].schema.model_validate(payload)
    except ValidationError as error:
        errors = _by_field(error, payload)
        raise OrderRefused(_worded(name, errors), errors) from None
    return name


def _unknown(what: str, given: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(canonical(given), known, n=1)
    hint = _("did you mean '%s'?") % near[0] if near else _("known are %s.") % ", ".join(sorted(known))
    return _("There is no %(what)s '%(given)s'; %(hint)s") % {"what": what, "given": given[:80], "hint": hint}


def _by_field(error: ValidationError, payload: Mapping[str, Any]) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        field = ".".join(str(part) for part in detail["loc"])
        missing = detail["type"] == "missing"
        errors.setdefault(field, []).append(_missing(field, payload) if missing else detail["msg"])
    return errors


def _missing(field: str, payload: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(field, [str(key) for key in payload], n=1)
    return _("is required; is it what you call '%s'?") % near[0] if near else _("is required")


def _worded(name: str, errors: Mapping[str, list[str]]) -> str:
    fields = "; ".join(f"{field} {', '.join(said)}" if field else ", ".join(said) for field, said in errors.items())
    return _("The payload of %(name)s cannot be sent: %(fields)s.") % {"name": name, "fields": fields}
