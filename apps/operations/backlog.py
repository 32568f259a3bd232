"""How much waits and since when, from the database's own counts: no operation is scanned for it."""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection
from typing import Literal, cast
from uuid import UUID

from django.db.models import Sum, Value
from django.db.models.fields import UUIDField

from apps.actions.tallies import fold
from apps.actions.verbs import kind_of
from apps.deadletters import failing
from apps.integrations.catalogue import Made
from apps.jobs.backlog import Backlog
from apps.operations.models import Ended, Flow, PendingOperation, Tally


def backlogs(lane: Literal["queue", "service"]) -> dict[UUID, Backlog]:
    """Return what waits in each queue, or for each service."""
    waiting = _waiting()
    oldest = _oldest(list(waiting))
    found: dict[UUID, Backlog] = {}
    for place, count in waiting.items():
        key = place[0] if lane == "queue" else place[1]
        known, since = found.get(key, (0, None))
        found[key] = (known + count, min(filter(None, (since, oldest.get(place))), default=None))
    return found


def _waiting() -> dict[tuple[UUID, UUID], int]:
    """Return how many operations are pending for each queue and service that has any."""
    pending = Tally.objects.filter(status=PendingOperation.Status.PENDING, archived=False)
    sums = pending.values_list("queue_id", "service_id").annotate(Sum("change"))
    return {(queue, service): count for queue, service, count in sums if count > 0}


def _oldest(places: list[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], dt.datetime]:
    """Return when the oldest of each queue and service fell due: one look at the head of an index each, in one query."""
    heads = [
        PendingOperation.objects.filter(queue=queue, service=service, status=PendingOperation.Status.PENDING)
        .order_by("due_at")
        .values_list(Value(queue, UUIDField()), Value(service, UUIDField()), "due_at")[:1]
        for queue, service in places
    ]
    found = heads[0].union(*heads[1:], all=True) if heads else []
    return {(queue, service): due_at for queue, service, due_at in found}


def counts() -> dict[str, int]:
    """Return how many operations stand in each state, archived ones left out (S0-8)."""
    found = dict(Tally.objects.filter(archived=False).values_list("status").annotate(Sum("change")))
    return {status: max(found.get(status, 0), 0) for status in PendingOperation.Status.values}


def fold_counts() -> None:
    """Fold all counting rows of operations together, and forget the old ones."""
    fold(Tally, Flow, Ended)


def retry_queue() -> tuple[int, int, dt.datetime | None]:
    """Return how many operations wait for a further attempt, how many of them are due, and since when the oldest is."""
    return failing.retry_queue(PendingOperation.objects.filter(status=PendingOperation.Status.PENDING))


MADE_SHOWN = 100
"""So many operations of one page of events are shown."""


def made_of(events: Collection[UUID]) -> dict[UUID, list[Made]]:
    """Return what events became, the newest first."""
    rows = PendingOperation.objects.filter(event__in=list(events)).order_by("-pk").defer("payload", "result")
    found: dict[UUID, list[Made]] = defaultdict(list)
    for row in rows[:MADE_SHOWN]:
        told = Made(kind_of(PendingOperation), row.pk, str(row), row.status, str(row.get_status_display()))
        found[cast("UUID", row.event_id)].append(told)
    return found
