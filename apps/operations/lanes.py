"""How queues of operations go, from the database's own counts: no operation is scanned for it."""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping
from uuid import UUID

from django.db.models import Count, Sum
from django.db.models.functions import Now

from apps.jobs.lanes import MINUTES, Lane
from apps.operations.models import Flow, PendingOperation, Place

RATE_MINUTES = 5
"""Rates are those of so many whole minutes and the one that runs."""
MINUTE = dt.timedelta(minutes=1)
Changes = Mapping[dt.datetime, int]


def lanes(queues: Collection[UUID], now: dt.datetime) -> dict[UUID, Lane]:
    """Tell how queues go at a moment of the database's clock."""
    flows = _flows(now)
    came, went = flows["in"], flows["out"]
    at_work, errors = _at_work(), _errors(queues)
    return {
        key: Lane(
            _rate(came[key], now),
            _rate(went[key], now),
            _by_minute(came[key], went[key], now),
            at_work.get(key, 0),
            *errors.get(key, ("", None)),
        )
        for key in queues
    }


def _flows(now: dt.datetime) -> Mapping[str, Mapping[UUID, Changes]]:
    """Return, for each way and queue, how many went it in each of the last minutes."""
    found: dict[str, dict[UUID, dict[dt.datetime, int]]] = {way: defaultdict(dict) for way in ("in", "out")}
    rows = Flow.objects.filter(minute__gt=now - MINUTES * MINUTE)
    for way, queue, minute, count in rows.values_list("way", "queue_id", "minute").annotate(Sum("change")):
        found[way][queue][minute] = count
    return found


def _rate(changes: Changes, now: dt.datetime) -> float:
    """Return how many a minute."""
    since = now.replace(second=0, microsecond=0) - RATE_MINUTES * MINUTE
    return sum(count for minute, count in changes.items() if minute >= since) / ((now - since) / MINUTE)


def _by_minute(came: Changes, went: Changes, now: dt.datetime) -> list[int]:
    this = now.replace(second=0, microsecond=0)
    minutes = [this - back * MINUTE for back in reversed(range(MINUTES))]
    return [came.get(minute, 0) - went.get(minute, 0) for minute in minutes]


def _at_work() -> dict[UUID, int]:
    """Return how many workers drain each queue."""
    held = Place.objects.filter(kept_until__gte=Now()).order_by()
    return dict(held.values_list("queue_id").annotate(Count("pk")))


def _errors(queues: Collection[UUID]) -> dict[UUID, tuple[str, dt.datetime | None]]:
    """Return the last error in each queue: one end of an index each, in one query."""
    ends = [
        PendingOperation.objects.filter(queue=queue, last_attempt_at__isnull=False)
        .exclude(error_type="")
        .order_by("-last_attempt_at")
        .values_list("queue_id", "last_error", "last_attempt_at")[:1]
        for queue in queues
    ]
    rows = ends[0].union(*ends[1:], all=True) if ends else []
    return {queue: (error, at) for queue, error, at in rows}
