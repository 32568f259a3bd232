"""How many events stand where, exact and cheap: the waiting ones by their own index, the day's by an index that holds it all."""

import datetime as dt
from typing import NamedTuple

from django.db.models import Count

from apps.integrations.models import EventSource, IntegrationEvent


class Told(NamedTuple):
    """What counts are kept apart by."""

    source: str
    event_type: str
    status: str


def events_waiting() -> int:
    """Return how many events are not processed yet (S1-105)."""
    return IntegrationEvent.objects.filter(status__in=IntegrationEvent.WAITING, archived_at__isnull=True).count()


def events_since(moment: dt.datetime) -> dict[Told, int]:
    """Return how many events came since a moment, by source, type and state; archived ones are left out, as in lists."""
    slugs = dict(EventSource.objects.values_list("pk", "slug"))
    came = IntegrationEvent.objects.filter(received_at__gte=moment, archived_at__isnull=True).order_by()
    counted = came.values_list("source_id", "event_type", "status").annotate(count=Count("*"))
    return {Told(slugs[source], kind, status): count for source, kind, status, count in counted}
