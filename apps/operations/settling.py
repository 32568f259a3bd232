"""Writing what became of calls: the rows, their attempts, and what it says of their services."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.actions import leases
from apps.actions.meters import Count
from apps.deadletters.failures import COUNTED_BY_BREAKER, NO_ATTEMPT_USED
from apps.integrations import breakers, limits
from apps.integrations.breakers import Report
from apps.integrations.connectors.shape import Connector, Doubles, Site
from apps.integrations.door import Settled
from apps.integrations.egress import Policy
from apps.integrations.metering import count_calls
from apps.integrations.models import Service
from apps.integrations.outcome import Outcome
from apps.integrations.sites import connector_of, policy_of, site_of
from apps.operations.models import Attempt, PendingOperation
from apps.operations.outcomes import Next, decide

log = logging.getLogger(__name__)

TOLD = {
    "complete": (logging.INFO, "completed"),
    "give_back": (logging.WARNING, "given back, to be tried again"),
    "fail": (logging.ERROR, "failed and was given up"),
}
"""The steps that the log tells of: how grave each is, and its word."""
OPERATIONS = Count("operation_total", "Operations by what became of a try.", "operation", "status")
COUNTED = {"complete": "success", "fail": "error", "give_back": "retry"}
"""The words of /metrics for the steps that end a try."""


@dataclass
class Destination:
    """A service as this drain knows it: its row, its connector and what they need, read once per look at the queue."""

    row: Service
    connector: Connector
    site: Site
    policy: Policy

    @classmethod
    def of(cls, service: Service) -> "Destination":
        """Read what calls to a service need."""
        return cls(service, connector_of(service), site_of(service), policy_of(service))


@dataclass
class Held:
    """An operation in this drain's hands."""

    operation: PendingOperation
    service: "Destination"
    doubles: Doubles

    @property
    def token(self) -> int:
        """The number its claim was given."""
        return self.operation.token or 0


Ended = tuple["Held", Settled]
"""An operation whose call is over, and what it came to."""


def write(ended: list[Ended]) -> tuple[Counter[str], list[Ended]]:
    """Write the outcomes and attempts of a batch in one transaction; return how many rows took which step, and which.

    What is stale is left out: a worker that slept for longer than its lease timed its calls by its own sleep, and
    nothing that they say speaks against a service.
    """
    steps: dict[tuple[str, int], dict[UUID, Any]] = defaultdict(dict)
    for held, settled in ended:
        step, values = _next(held, settled)
        steps[step, held.token][held.operation.pk] = values
    with transaction.atomic():
        written: set[UUID] = set()
        for (name, token), values in sorted(steps.items()):
            written.update(leases.finish(getattr(PendingOperation, name), values, token))
        Attempt.objects.bulk_create(_attempts(ended, written))
    _count(ended, {key: name for (name, _token), values in steps.items() for key in values if key in written})
    _tell(ended, steps, written)
    score = Counter(name for (name, _token), values in steps.items() for key in values if key in written)
    return score, [(held, settled) for held, settled in ended if held.operation.pk in written]


def _count(ended: list[Ended], taken: Mapping[UUID, str]) -> None:
    for held, settled in ended:
        operation = held.operation
        count_calls(held.service.row.slug, operation.operation_type, settled)
        if taken.get(operation.pk) in COUNTED:
            OPERATIONS.add(operation.operation_type, COUNTED[taken[operation.pk]])


def _tell(ended: list[Ended], steps: Mapping[tuple[str, int], Mapping[UUID, Any]], written: set[UUID]) -> None:
    """Say in the log what became of each operation."""
    taken = {key: name for (name, _token), values in steps.items() for key in values}
    for held, settled in ended:
        name = taken[held.operation.pk]
        if held.operation.pk in written and name in TOLD:
            level, word = TOLD[name]
            said = {**held.operation.said, "service": held.service.row.slug}
            log.log(level, "%s %s: %s", held.operation.operation_type, word, _answer(settled), extra=said)


def _answer(settled: Settled) -> str:
    """Return what the last call was, how long it took, and what is wrong, in a line."""
    told = [
        f"{last.method} {last.url} {last.status or 'no answer'} in {last.duration_ms} ms"
        for last in settled.exchanges[-1:]
    ]
    return "; ".join([*told, *filter(None, [settled.outcome.message if settled.outcome else ""])]) or "no call needed"


def _next(held: Held, settled: Settled) -> tuple[str, Any]:
    if settled.outcome is None:  # not called: the row was no longer ours, or was about to be
        return "release", {}
    step: Next = decide(held.operation, settled.outcome, held.doubles, held.service.row)
    last = settled.exchanges[-1].status if settled.exchanges else None
    if last and last >= 400 and "error_type" in step.values:
        return step.step.name, {**step.values, "error_type": f"HTTP {last}"}
    return step.step.name, step.values


def _attempts(ended: list[Ended], written: set[UUID]) -> list[Attempt]:
    return [
        Attempt(
            operation_id=held.operation.pk,
            service_id=held.service.row.pk,
            at=exchange.started_at,
            duration_ms=exchange.duration_ms,
            method=exchange.method,
            url=exchange.url[:500],
            status_code=exchange.status,
            failure_class=_class_of(settled) if last else "",
            excerpt=exchange.excerpt,
            worker=held.operation.worker,
            stale=held.operation.pk not in written,
        )
        for held, settled in ended
        for last, exchange in _marked(settled.exchanges)
    ]


def _marked(exchanges: list[Any]) -> Iterable[tuple[bool, Any]]:
    return ((number == len(exchanges), exchange) for number, exchange in enumerate(exchanges, 1))


def _class_of(settled: Settled) -> str:
    return settled.outcome.failure_class or "" if settled.outcome else ""


def tell_services(ended: list[Ended]) -> None:
    """Tell limits and breakers what the calls of a batch say of their services."""
    by_service: dict[UUID, list[Ended]] = defaultdict(list)
    for held, settled in ended:
        by_service[held.service.row.pk].append((held, settled))
    for key, told in by_service.items():
        limits.charge(key, sum(max(len(settled.exchanges) - 1, 0) for _held, settled in told))
        breakers.report(key, _report(told))
        for outcome in _waits(told):
            breakers.heed(told[0][0].service.row, outcome)


def _report(told: list[Ended]) -> Report:
    """Count the failures that came after the last answer that speaks for the service."""
    failures, answered = 0, False
    for _held, settled in told:
        if settled.outcome is not None and settled.exchanges:
            counted = settled.outcome.failure_class in COUNTED_BY_BREAKER
            failures, answered = (failures + 1, answered) if counted else (0, True)
    return Report(failures, answered)


def _waits(told: list[Ended]) -> Iterable[Outcome]:
    """Return what makes the whole service wait: of each class the longest wait that was asked for."""
    outcomes = [settled.outcome for _held, settled in told if settled.outcome is not None]
    asked = [outcome for outcome in outcomes if outcome.failure_class in NO_ATTEMPT_USED]
    return {outcome.failure_class: outcome for outcome in sorted(asked, key=lambda one: one.retry_after or 0)}.values()
