"""Circuit breakers: rows that drains report to, and that one probe at a time decides about."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.db.models import DurationField, ExpressionWrapper, F, Q, QuerySet, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.actions.running import database_now, step
from apps.deadletters.failures import FailureClass
from apps.integrations import limits
from apps.integrations.models import CircuitBreaker, Service
from apps.integrations.models.service import RAMP
from apps.integrations.outcome import Outcome

PROBE_LEASE = dt.timedelta(seconds=12)
"""A probe ends within eight seconds and the finding of a name; one that never came back frees the breaker."""
REFUSED_WAIT = 300
"""Seconds between probes while our credential is refused: nothing but a rotation helps."""
SPENT_WAIT, DOWN_WAIT = 3600, 60
"""Seconds before the first probe, where a spent quota or a service that is down names no time itself."""

ANSWERED = """
UPDATE integrations_circuitbreaker SET failures = 0, updated_at = statement_timestamp()
 WHERE service_id = %s AND status = 'closed' AND failures > 0
"""
"""Written out: every batch of every drain says so, and nearly always there is nothing to forget."""


@dataclass(frozen=True)
class Report:
    """What a batch of calls says of a service: failures since its last good answer, and whether there was one."""

    failures: int = 0
    answered: bool = False


def report(service_id: UUID, told: Report) -> None:
    """Add a batch's word to the breaker's count, and trip it where the count says so."""
    if told.answered and not told.failures:
        with connection.cursor() as cursor:
            cursor.execute(ANSWERED, [service_id])
    elif told.failures:
        breakers = CircuitBreaker.objects.filter(service_id=service_id, status=CircuitBreaker.Status.CLOSED)
        _count(breakers, told)
        for breaker in breakers.filter(failures__gte=F("failure_threshold")):
            trip(breaker, _("%(failures)s calls in a row failed") % {"failures": breaker.failures})


def _count(breakers: QuerySet[CircuitBreaker], told: Report) -> None:
    """Failures count on while they follow each other within the window; a good answer between begins anew."""
    window = ExpressionWrapper(F("window_seconds") * Value(dt.timedelta(seconds=1)), DurationField())
    fresh = Q(window_started_at__gt=Now() - window)
    with transaction.atomic():
        if not told.answered and breakers.filter(fresh).update(
            failures=F("failures") + told.failures, updated_at=Now()
        ):
            return
        breakers.update(failures=told.failures, window_started_at=Now(), updated_at=Now())


def trip(breaker: CircuitBreaker, reason: str, wait_seconds: float | None = None) -> bool:
    """Open a breaker; say whether this call did it. Without a wait of its own it waits longer each time."""
    wait = int(wait_seconds if wait_seconds is not None else _next_wait(breaker))
    moved = step(
        CircuitBreaker.trip,
        CircuitBreaker.objects.filter(pk=breaker.pk),
        reason=reason,
        wait_seconds=wait,
        wait=dt.timedelta(seconds=wait),
    )
    return bool(moved)


def make_missing() -> None:
    """Give a closed breaker to every service that has none; until then no call goes out to it."""
    for service in Service.objects.filter(breaker__isnull=True):
        CircuitBreaker.objects.get_or_create(service=service)


def trip_service(service: Service, reason: str, wait_seconds: float) -> None:
    """Open a service's breaker at once: its credential is refused, its quota is spent, or it says that it is down."""
    for breaker in CircuitBreaker.objects.filter(service=service, status=CircuitBreaker.Status.CLOSED):
        trip(breaker, reason, wait_seconds)


def heed(service: Service, outcome: Outcome) -> None:
    """Let the whole service wait where an outcome asks for it: it is called too often, refuses us, or says it is down."""
    match outcome.failure_class:
        case FailureClass.RATE_LIMITED:
            limits.hold(service, outcome.retry_after or service.backoff_base_seconds, outcome.message)
        case FailureClass.CREDENTIAL:
            trip_service(service, outcome.message, REFUSED_WAIT)
        case FailureClass.QUOTA:
            trip_service(service, outcome.message, outcome.retry_after or SPENT_WAIT)
        case FailureClass.DEPENDENCY_DOWN:
            trip_service(service, outcome.message, outcome.retry_after or DOWN_WAIT)


def _next_wait(breaker: CircuitBreaker) -> int:
    soon = breaker.closed_at is not None and breaker.closed_at + RAMP * 2 > database_now()
    again = breaker.status == CircuitBreaker.Status.HALF_OPEN or soon
    return (
        min(breaker.wait_seconds * 2, breaker.timeout_cap_seconds)
        if again and breaker.wait_seconds
        else breaker.timeout_seconds
    )


FREE = Q(status=CircuitBreaker.Status.HALF_OPEN) & (Q(probe_token__isnull=True) | Q(probe_lease_until__lt=Now()))
"""A probe may go out: none is under way, or it never came back."""


def probes_due() -> bool:
    """Say whether a breaker waits for a probe."""
    over = Q(status=CircuitBreaker.Status.OPEN, probe_due_at__lte=Now())
    return CircuitBreaker.objects.filter(over | FREE).exists()


def take_probes() -> Sequence[CircuitBreaker]:
    """Take the probes that are due: each breaker's is held by one worker, under a lease of its own."""
    step(CircuitBreaker.half_open, CircuitBreaker.objects.filter(probe_due_at__lte=Now()))
    taken = []
    for breaker in CircuitBreaker.objects.filter(FREE).select_related("service"):
        # Compare and set: of all processes that saw it free, one takes it.
        won = CircuitBreaker.objects.filter(FREE, pk=breaker.pk).update(
            probe_token=RawSQL("(SELECT nextval('actions_token'))", ()), probe_lease_until=Now() + PROBE_LEASE
        )
        if won:
            breaker.refresh_from_db()
            taken.append(breaker)
    return taken


def decide(breaker: CircuitBreaker, answered: bool, reason: str, wait_seconds: float | None = None) -> None:
    """Let the probe that holds the breaker decide; one that lost its lease decides nothing."""
    held = CircuitBreaker.objects.filter(pk=breaker.pk, probe_token=breaker.probe_token)
    if held.exists():
        if answered:
            step(CircuitBreaker.close, held)
        else:
            trip(breaker, reason, wait_seconds)


def close_answered(service: Service) -> None:
    """A probe that a person asked for was answered: that closes the breaker, unless a person forced it open."""
    step(CircuitBreaker.close, CircuitBreaker.objects.filter(service=service, forced=False))
