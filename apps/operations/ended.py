"""How many operations ended, and when: from the database's own counts, by the quarter of an hour.

Every zone's hours and midnights begin with a quarter. Where a question begins within one, that one alone is counted anew.
"""

import datetime as dt
from collections import Counter
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum

from apps.operations.models import Ended, PendingOperation

QUARTER = dt.timedelta(minutes=15)
Status = PendingOperation.Status
WORDS = {Status.COMPLETED: "sent", Status.FAILED: "failed"}


def deliveries(since: dt.datetime) -> dict[UUID, dict[str, int]]:
    """Return for each service how many operations reached it since a moment (`sent`), and how many were given up since
    and still wait for a person (`failed`)."""
    whole = _next_quarter(since)
    found: dict[UUID, dict[str, int]] = {}
    for service, status, count in [*_counted(whole), *_scanned(since, whole)]:
        told = found.setdefault(service, dict.fromkeys(WORDS.values(), 0))
        told[WORDS[Status(status)]] += count
    return {service: told for service, told in found.items() if any(told.values())}


def quarters(since: dt.datetime) -> dict[str, Counter[dt.datetime]]:
    """Return how many operations ended in each quarter from one on, by how they ended; archived ones are left out."""
    found: dict[str, Counter[dt.datetime]] = {status: Counter() for status in WORDS}
    rows = Ended.objects.filter(quarter__gte=since).values_list("status", "quarter")
    for status, quarter, count in rows.annotate(Sum("change")):
        found[status][quarter] = max(count, 0)
    return found


def _next_quarter(since: dt.datetime) -> dt.datetime:
    """Return where the first quarter begins that is not cut by a moment."""
    epoch = dt.datetime.fromtimestamp(0, dt.UTC)
    return epoch - (epoch - since) // QUARTER * QUARTER


def _counted(since: dt.datetime) -> "QuerySet[Ended, tuple[UUID, str, int]]":
    return Ended.objects.filter(quarter__gte=since).values_list("service_id", "status").annotate(count=Sum("change"))


def _scanned(since: dt.datetime, until: dt.datetime) -> "list[tuple[UUID, str, int]]":
    """Count the operations themselves, between a moment and the quarter that comes next."""
    if since == until:
        return []
    completed = Q(status=Status.COMPLETED, completed_at__gte=since, completed_at__lt=until)
    failed = Q(status=Status.FAILED, failed_at__gte=since, failed_at__lt=until, archived_at=None)
    grouped = [
        PendingOperation.objects.filter(rows).order_by().values_list("service_id", "status").annotate(count=Count("*"))
        for rows in (completed, failed)
    ]
    return [row for rows in grouped for row in rows]
