"""From what a call came to, to what happens next: the failure class decides (docs/decisions.md)."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, NamedTuple

from apps.actions.verbs import Step
from apps.deadletters.failures import GIVEN_UP_AT_ONCE, NO_ATTEMPT_USED, FailureClass
from apps.integrations.connectors.shape import Doubles
from apps.integrations.models import Service
from apps.integrations.outcome import Outcome
from apps.operations.models import PendingOperation

TRIES_OF_THE_UNKNOWN = 2
"""An answer nobody has heard of is tried so often."""
HELD = dt.timedelta(seconds=1)
"""A row that waits for its service, not for itself, is due again at once: the service's row holds it."""
SOON = dt.timedelta(seconds=1)
"""No retry sooner."""


class Next(NamedTuple):
    """The step an operation takes now, and the values it writes."""

    step: Step
    values: Mapping[str, Any]


def decide(operation: PendingOperation, outcome: Outcome, doubles: Doubles, service: Service) -> Next:
    """Return what an outcome makes of an operation."""
    failure = outcome.failure_class
    if outcome.succeeded or failure is None:
        return Next(PendingOperation.complete, _answer(operation, outcome))
    told = _failure(operation, outcome, failure)
    if failure in NO_ATTEMPT_USED:
        return _again(told | {"used": 0}, floor=HELD)
    attempts = operation.attempts + 1
    if failure in GIVEN_UP_AT_ONCE or _hopeless(outcome, doubles, attempts) or attempts >= operation.max_retries:
        return Next(PendingOperation.fail, told | {"used": 1})
    ceiling = min(service.backoff_cap_seconds, service.backoff_base_seconds * 2 ** min(operation.attempts, 30))
    spread = dt.timedelta(seconds=max(ceiling, SOON.total_seconds())) - SOON
    return _again(told | {"used": 1}, floor=SOON, spread=spread)


def _again(told: Mapping[str, Any], floor: dt.timedelta, spread: dt.timedelta = dt.timedelta()) -> Next:
    return Next(PendingOperation.give_back, {**told, "floor": floor, "spread": spread})


def _hopeless(outcome: Outcome, doubles: Doubles, attempts: int) -> bool:
    """Say whether another try cannot settle it: nobody can be asked, or nobody has heard of such an answer."""
    if outcome.failure_class == FailureClass.AMBIGUOUS:
        return outcome.unsure or doubles == Doubles.NONE
    return outcome.failure_class == FailureClass.UNKNOWN and attempts >= TRIES_OF_THE_UNKNOWN


def _answer(operation: PendingOperation, outcome: Outcome) -> dict[str, Any]:
    return {
        "remote_id": outcome.remote_id or operation.remote_id,
        "remote_url": outcome.remote_url or operation.remote_url,
        "result": dict(outcome.result) if outcome.result is not None else None,
    }


def _failure(operation: PendingOperation, outcome: Outcome, failure: FailureClass) -> dict[str, Any]:
    return {
        "failure_class": failure,
        "error_type": failure,
        "last_error": outcome.message[:4000],
        "error_fields": dict(outcome.errors),
        # The mark "the far end may have acted" stays only where it may: by this call, or by an earlier one.
        "in_doubt": failure == FailureClass.AMBIGUOUS,
        "called_at": operation.called_at,
    }
