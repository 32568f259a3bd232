"""How many dead letters wait, as `/status` and `/api/dlq/stats` tell it."""

import datetime as dt
from typing import Any

from django.db.models import Count, Q
from django.db.models.functions import Now

from apps.deadletters.models import DeadLetter

DAY, WEEK = dt.timedelta(days=1), dt.timedelta(days=7)


def stats(today: dt.datetime) -> dict[str, Any]:
    """Return the unresolved and retrying ones: in all, of the last day and week, of today, and by the kind of their work."""
    spans = {"last_24h": Now() - DAY, "last_7d": Now() - WEEK, "today": today}
    counts = {"total": Count("pk")} | {
        word: Count("pk", filter=Q(opened_at__gte=since)) for word, since in spans.items()
    }
    waiting = DeadLetter.objects.filter(status__in=DeadLetter.OPEN).order_by()
    groups = list(waiting.values("title").annotate(**counts).order_by("title").values_list("title", *counts))
    sums = {word: sum(group[number] for group in groups) for number, word in enumerate(counts, 1)}
    return sums | {"by_type": {group[0]: group[1] for group in groups}}
