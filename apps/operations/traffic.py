"""The calls that operations made, counted by service out of one index."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, Sum

from apps.deadletters.failures import COUNTED_BY_BREAKER, OPENS_BREAKER, FailureClass
from apps.integrations.traffic import Calls, Span
from apps.operations.models import Attempt

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
