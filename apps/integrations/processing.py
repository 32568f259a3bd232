"""What events become: each in one transaction with its own end, so that a crash leaves all of it or nothing.

A worker holds an event by a lease and a token; what it wrote after its lease lapsed is undone with the refused end. Of
one subject one event at a time is decided, so that an older one never follows a newer.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from apps.actions import leases
from apps.actions.verbs import Invalid
from apps.deadletters.failing import take_back, wait_after
from apps.deadletters.failures import FailureClass
from apps.integrations import catalogue
from apps.integrations.masking import masked_text, phones_of
from apps.integrations.metering import ERROR, SUCCESS, count_events
from apps.integrations.models import EventSource, IntegrationEvent
from apps.integrations.routing import EndpointPaused, MappingFailed, routed
from apps.integrations.traces import within

log = logging.getLogger(__name__)

BATCH = 20

Outcome = IntegrationEvent.Outcome
ENDED = {"failed": ERROR, "given back": "retry", "lost": "retry"}
"""The words of /metrics for how a turn at an event ended, where it made nothing."""
ALIKE = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


class Lost(Exception):
    """The lease lapsed and somebody else has the event: nothing of this try was written."""


def due() -> QuerySet[IntegrationEvent]:
    """Return the events that may be processed now."""
    held = EventSource.objects.filter(status=EventSource.Status.PAUSED).values_list("pk", flat=True)
    waiting = IntegrationEvent.objects.filter(status=IntegrationEvent.Status.RECEIVED, due_at__lte=Now())
    return waiting.exclude(source__in=list(held))


def process(seconds: float) -> Counter[str]:
    """Process what is due until nothing is or the time is up; return how many ended how. Any number may run at once."""
    ends, score = time.monotonic() + seconds, Counter[str]()
    while time.monotonic() < ends and (taken := _claim()):
        score += _process_batch(taken)
    return score


def _claim() -> list[IntegrationEvent]:
    """Claim the events that are due; one that was held when its worker fell silent goes last, and alone."""
    ready = due().order_by("due_at", "id")
    fresh = leases.take(IntegrationEvent.claim, ready.filter(crashes=0), BATCH)
    return fresh or leases.take(IntegrationEvent.claim, ready.filter(crashes__gt=0), 1)


def _process_batch(taken: list[IntegrationEvent]) -> Counter[str]:
    """Process claimed events, the oldest first: what is in order makes the most."""
    sources = EventSource.objects.in_bulk({event.source_id for event in taken})
    score, renewed_at = Counter[str](), time.monotonic()
    for event in sorted(taken, key=lambda event: (event.occurred_at, event.pk)):
        if time.monotonic() - renewed_at > leases.LEASE.total_seconds() / 3:
            leases.renew(IntegrationEvent, {event.token or 0})
            renewed_at = time.monotonic()
        event.source = sources[event.source_id]
        ended = _process(event)
        score[ended] += 1
        count_events(event.source.slug, [event.event_type], ENDED.get(ended, SUCCESS))
    return score


def _process(event: IntegrationEvent) -> str:
    """Process an event; each line of the log meanwhile is one of its trace."""
    said = {"kind": "integrations.integrationevent", "object_id": str(event.pk)}
    with within(event.traceparent, **said):
        end = _ended(event)
        level = {"failed": logging.ERROR, "given back": logging.WARNING}.get(end, logging.INFO)
        words = "Event %s of %s processed: %s"
        log.log(level, words, event.event_type, event.source, end, extra={"phones": phones_of(event.data)})
    return end


def _ended(event: IntegrationEvent) -> str:
    try:
        return _decide(event)
    except Lost:
        return "lost"
    except EndpointPaused as error:  # first, since it is a kind of MappingFailed
        return _give_up(event, FailureClass.CONFIG, "endpoint_paused", str(error))
    except MappingFailed as error:
        return _give_up(event, FailureClass.PERMANENT_DATA, "mapping", str(error))
    except Invalid as error:
        return _give_up(event, FailureClass.PERMANENT_DATA, error.code, str(error), error.extra.get("errors", {}))
    except (OperationalError, InterfaceError) as error:
        if not connection.is_usable():
            connection.close()  # the next statement connects anew, or ends this turn: the lease lapses
        return _try_again(event, FailureClass.TRANSIENT, "database", str(error))
    except Exception as error:
        log.exception("The event %s could not be processed.", event.pk)
        return _try_again(event, FailureClass.UNKNOWN, type(error).__name__, str(error))


def _decide(event: IntegrationEvent) -> str:
    with transaction.atomic():
        outcome = _become(event)
        written = leases.finish(IntegrationEvent.finish, {event.pk: {"outcome": outcome}}, event.token or 0)
        if not written:
            raise Lost
    return str(outcome)


def _become(event: IntegrationEvent) -> Outcome:
    """Make of an event what it is to become, and say what that is."""
    if event.source.ordered and event.subject:
        with connection.cursor() as cursor:
            cursor.execute(ALIKE, [f"{event.source_id}\x1f{event.subject}"])
        if not event.anew and _newer_stands(event):
            # One that is replayed keeps what it became in its time.
            return Outcome.OPERATIONS if event.outcome == Outcome.OPERATIONS else Outcome.SUPERSEDED
    wanted = routed(event)
    if not wanted:
        return Outcome.NOTHING
    _submit()(event, wanted, event.anew)
    return Outcome.OPERATIONS


def _newer_stands(event: IntegrationEvent) -> bool:
    alike = IntegrationEvent.objects.filter(source=event.source_id, subject=event.subject, outcome=Outcome.OPERATIONS)
    return alike.filter(occurred_at__gt=event.occurred_at).exclude(pk=event.pk).exists()


@cache
def _submit() -> Callable[..., int]:
    found: Callable[..., int] = import_string(catalogue.ROUTED_TO)
    return found


def _give_up(
    event: IntegrationEvent, failure: FailureClass, error_type: str, why: str, fields: Mapping[str, Any] | None = None
) -> str:
    """Another attempt cannot change it: a person must mend the mapping, or the sender the event."""
    told = {**_failure(failure, error_type, why), "error_fields": dict(fields or {})}
    leases.finish(IntegrationEvent.fail, {event.pk: told}, event.token or 0)
    return "failed"


def _try_again(event: IntegrationEvent, failure: FailureClass, error_type: str, why: str) -> str:
    if event.attempts + 1 >= event.max_retries:
        words = f"Max retries exceeded: {why}"  # the words of runbook 1, in whatever language
        told = {**_failure(failure, error_type, words), "error_fields": {}}
        leases.finish(IntegrationEvent.fail, {event.pk: told}, event.token or 0)
        return "failed"
    wait = wait_after(event.attempts)
    leases.finish(
        IntegrationEvent.give_back,
        {event.pk: {**_failure(failure, error_type, why), "wait": wait}},
        event.token or 0,
    )
    return "given back"


def _failure(failure: FailureClass, error_type: str, why: str) -> dict[str, Any]:
    return {"failure_class": failure, "error_type": error_type[:100], "last_error": masked_text(why)[:4000]}


def rescue_lapsed() -> int:
    """Take events back from workers that fell silent; return how many."""
    return take_back(IntegrationEvent.objects.filter(status=IntegrationEvent.Status.PROCESSING))
