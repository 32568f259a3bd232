"""Writing what became of calls: the rows, their attempts, and what it says of their services."""

import datetime as dt
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection, transaction

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
from apps.operations.claiming import EVER
from apps.operations.models import PendingOperation
from apps.operations.outcomes import Next, decide

log = logging.getLogger(__name__)

TOLD = {
    "complete": (logging.INFO, "completed"),
    "give_back": (logging.WARNING, "given back, to be tried again"),
    "fail": (logging.ERROR, "failed and was given up"),
}
"""The steps that the log tells of: how grave each is, and its word."""
TOLD_ONE_BY_ONE = 20
"""Of more that went well in one batch the log tells the number alone: each has its attempt, and a line of it would cost
more than the call."""
OPERATIONS = Count("operation_total", "Operations by what became of a try.", "operation", "status")
COUNTED = {"complete": "success", "fail": "error", "give_back": "retry"}
"""The words of /metrics for the steps that end a try."""
COPY_ATTEMPTS = """
COPY operations_attempt (operation_id, service_id, at, duration_ms, method, url, status_code, failure_class, excerpt, worker, stale)
FROM STDIN
"""
"""A third of what a statement with as many values costs."""


@dataclass
class Destination:
    """A service as this drain knows it: its row, its connector and what they need, read once per look at the queue."""

    row: Service
    connector: Connector
    site: Site
    policy: Policy
    since: dt.datetime = EVER
    """Where the next claim begins. Until the table is vacuumed its index holds every row that left it, and a claim that
    began in front would step over them all: after 400,000 it took twice as long."""
    key: UUID = field(init=False)

    def __post_init__(self) -> None:
        self.key = self.row.pk

    @classmethod
    def of(cls, service: Service) -> "Destination":
        """Read what calls to a service need."""
        return cls(service, connector_of(service), site_of(service), policy_of(service))


@dataclass(slots=True)
class Held:
    """An operation in this drain's hands."""

    operation: PendingOperation
    service: "Destination"
    doubles: Doubles

    key: UUID = field(init=False)
    token: int = field(init=False)
    """The number its claim was given. Both are asked for often: a model looks its own key up each time."""

    def __post_init__(self) -> None:
        self.key, self.token = self.operation.pk, self.operation.token or 0


Ended = tuple["Held", Settled]
"""An operation whose call is over, and what it came to."""


@dataclass(frozen=True)
class Written:
    """A batch on record. `kept` are those that were still ours, `steps` what became of each row.

    What is stale is not kept: a worker that slept for longer than its lease timed its calls by its own sleep, and
    nothing that they say speaks against a service.
    """

    ended: list[Ended]
    kept: list[Ended]
    steps: Mapping[UUID, str]


def write(ended: list[Ended]) -> Written:
    """Write the outcomes and attempts of a batch in one transaction."""
    steps: dict[tuple[str, int], dict[UUID, Any]] = defaultdict(dict)
    for held, settled in ended:
        step, values = _next(held, settled)
        steps[step, held.token][held.key] = values
    with transaction.atomic(savepoint=False):
        written: set[UUID] = set()
        for (name, token), values in sorted(steps.items()):
            written.update(leases.finish(getattr(PendingOperation, name), values, token))
        if ended:
            _note_attempts(ended, written)
    taken = {key: name for (name, _token), values in steps.items() for key in values}
    return Written(ended, [(held, settled) for held, settled in ended if held.key in written], taken)


def tell(written: Written) -> Counter[str]:
    """Count and log what became of a batch; return how many rows took which step."""
    _count(written)
    _tell(written.kept, written.steps)
    return Counter(written.steps[held.key] for held, _settled in written.kept)


def _count(written: Written) -> None:
    calls: dict[tuple[str, str], list[Settled]] = defaultdict(list)
    for held, settled in written.ended:
        calls[held.service.row.slug, held.operation.operation_type].append(settled)
    for (service, operation_type), made in calls.items():
        count_calls(service, operation_type, made)
    ends = Counter(
        (held.operation.operation_type, COUNTED.get(written.steps[held.key])) for held, _settled in written.kept
    )
    for (operation_type, word), number in ends.items():
        if word:
            OPERATIONS.add(operation_type, word, amount=number)


def _tell(kept: list[Ended], taken: Mapping[UUID, str]) -> None:
    """Say in the log what became of each operation; of many that went well, how many they were."""
    done = Counter(held.service.row.slug for held, _settled in kept if taken[held.key] == "complete")
    hushed = {service for service, number in done.items() if number > TOLD_ONE_BY_ONE}
    for held, settled in kept:
        name, service = taken[held.key], held.service.row.slug
        if name in TOLD and not (name == "complete" and service in hushed):
            level, word = TOLD[name]
            said = {**held.operation.said, "service": service}
            log.log(level, "%s %s: %s", held.operation.operation_type, word, _answer(settled), extra=said)
    for service in hushed:
        log.info("%s operations completed", done[service], extra={"service": service})


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


def _note_attempts(ended: list[Ended], written: set[UUID]) -> None:
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(COPY_ATTEMPTS) as copy:
        for held, settled in ended:
            key, service = held.key.hex, held.service.key.hex
            worker, stale = held.operation.worker, held.key not in written
            for last, exchange in _marked(settled.exchanges):
                copy.write_row(
                    (
                        key,
                        service,
                        exchange.started_at,
                        exchange.duration_ms,
                        exchange.method,
                        exchange.url,
                        exchange.status,
                        _class_of(settled) if last else "",
                        exchange.excerpt,
                        worker,
                        stale,
                    )
                )


def _marked(exchanges: list[Any]) -> Iterable[tuple[bool, Any]]:
    return ((number == len(exchanges), exchange) for number, exchange in enumerate(exchanges, 1))


def _class_of(settled: Settled) -> str:
    return settled.outcome.failure_class or "" if settled.outcome else ""


def tell_services(ended: list[Ended]) -> None:
    """Tell limits and breakers what the calls of a batch say of their services."""
    by_service: dict[UUID, list[Ended]] = defaultdict(list)
    for held, settled in ended:
        by_service[held.service.key].append((held, settled))
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
