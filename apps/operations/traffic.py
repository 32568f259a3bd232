"""The calls that operations made, counted by service out of one index."""

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Sum

from apps.deadletters.failures import COUNTED_BY_BREAKER, OPENS_BREAKER, FailureClass
from apps.integrations.traffic import Calls, Span
from apps.jobs.retention import SKEW, key_at
from apps.operations.models import Attempt, PendingOperation

BY_ITS_FAULT = (*COUNTED_BY_BREAKER, *OPENS_BREAKER, FailureClass.DEPENDENCY_DOWN)
"""What speaks against the service. A refusal of one row, or of too many calls, does not."""


def calls(service_id: UUID, spans: Sequence[Span]) -> list[Calls]:
    """Count the calls to a service in each span, in one query. What came after its lease had lapsed was called, too."""
    told: dict[str, Any] = {}
    for number, (since, until) in enumerate(spans):
        within = Q(at__gte=since, at__lt=until)
        told |= {
            f"made_{number}": Count("at", filter=within),
            f"failed_{number}": Count("at", filter=within & Q(failure_class__in=BY_ITS_FAULT)),
            f"took_{number}": Sum("duration_ms", filter=within, default=0),
        }
    since = min(since for since, _until in spans)
    found = Attempt.objects.filter(service_id=service_id, at__gte=since).aggregate(**told)
    return [
        Calls(found[f"made_{number}"], found[f"failed_{number}"], found[f"took_{number}"])
        for number in range(len(spans))
    ]


def settled(attempts: QuerySet[Attempt]) -> QuerySet[Attempt]:
    """Leave out the calls that were made for an operation that is not settled: they say why (apps/jobs/catalogue.py: KEPT)."""
    return attempts.filter(~Exists(_unsettled().filter(pk=OuterRef("operation_id"))))


def needs_attempts(starts_at: dt.datetime | None, ends_at: dt.datetime) -> bool:
    """Say whether a call within a time was made for an operation that is not settled."""
    calls = Attempt.objects.filter(operation_id=OuterRef("pk"), at__lt=ends_at)
    within = calls.filter(at__gte=starts_at) if starts_at else calls
    return _unsettled().filter(Exists(within), pk__lt=key_at(ends_at + SKEW)).exists()


def _unsettled() -> QuerySet[PendingOperation]:
    return PendingOperation.objects.filter(archived_at__isnull=True).exclude(status=PendingOperation.Status.COMPLETED)
