"""How many events wait, and how those of a day went, by type and by source (S1-24, S1-25, S1-66, S1-67)."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Count, QuerySet

from apps.deadletters import failing
from apps.integrations.models import EventSource, IntegrationEvent

Status = IntegrationEvent.Status
Group = tuple[UUID, str, str]
"""A source, a type and a status."""
GROUPS_TOLD = 200
"""So many types are told by name, those with most failures first: whoever may send events makes types up."""


@dataclass(frozen=True)
class Part:
    """Some events: all of them, those processed, and those that failed and wait for a person."""

    total: int = 0
    processed: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Day:
    """The events received since a moment, archived ones left out; parts with most failures first."""

    whole: Part
    by_type: dict[str, Part] = field(default_factory=dict)
    by_source: dict[str, Part] = field(default_factory=dict)


def waiting() -> int:
    """Return how many events are not processed yet."""
    return IntegrationEvent.objects.filter(status__in=IntegrationEvent.WAITING, archived_at=None).count()


def to_be_tried_again() -> tuple[int, int, dt.datetime | None]:
    """Return how many events wait for a further attempt, how many of them are due, and since when the oldest is."""
    return failing.retry_queue(IntegrationEvent.objects.filter(status=Status.RECEIVED))


def day_since(moment: dt.datetime) -> Day:
    """Return the events received since a moment: counted in one index, which leaves the archived ones out."""
    counts = _grouped(IntegrationEvent.objects.filter(received_at__gte=moment, archived_at__isnull=True).order_by())
    slugs = dict(EventSource.objects.values_list("pk", "slug"))
    return Day(
        whole=_part(counts),
        by_type=_parts(counts, lambda group: str(group[1])),
        by_source=_parts(counts, lambda group: slugs[group[0]]),
    )


def _grouped(rows: "QuerySet[IntegrationEvent]") -> Counter[Group]:
    """Count by source, type and status."""
    grouped = rows.values_list("source_id", "event_type", "status").annotate(
        count=Count("*")
    )  # not of the key: the index holds none
    return Counter({(source, kind, status): count for source, kind, status, count in grouped})


def _parts(counts: Counter[Group], name: Callable[[Group], str]) -> dict[str, Part]:
    split: dict[str, Counter[Group]] = defaultdict(Counter)
    for group, count in counts.items():
        if count:
            split[name(group)][group] = count
    parts = {word: _part(groups) for word, groups in split.items()}
    worst_first = sorted(parts.items(), key=lambda pair: (-pair[1].failed, -pair[1].total, pair[0]))
    return dict(worst_first[:GROUPS_TOLD])


def _part(counts: Counter[Group]) -> Part:
    by_status: Counter[str] = Counter()
    for (_source, _kind, status), count in counts.items():
        by_status[status] += count
    return Part(by_status.total(), by_status[Status.PROCESSED], by_status[Status.FAILED])
