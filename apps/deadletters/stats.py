"""How many dead letters wait, as `/status` and `/api/dlq/stats` tell it."""

import datetime as dt
from typing import Any

from django.db.models import Count, Q, Sum

from apps.actions.running import database_now
from apps.deadletters.models import DeadLetter, Tally

DAY, WEEK = dt.timedelta(days=1), dt.timedelta(days=7)


def stats(today: dt.datetime) -> dict[str, Any]:
    """Return the unresolved and retrying ones: in all, of the last day and week, of today, and by the kind of their work.

    All of them, however old, are the tally's; those of the last week are counted in an index.
    """
    inbox = Tally.objects.filter(status__in=DeadLetter.OPEN).order_by()
    by_type = dict(inbox.values_list("title").annotate(count=Sum("change")).filter(count__gt=0).order_by("title"))
    now = database_now()  # read once: worked out for each of half a million, its bounds would take twice as long
    spans = {"last_24h": now - DAY, "last_7d": now - WEEK, "today": today}
    young = DeadLetter.objects.filter(status__in=DeadLetter.OPEN, opened_at__gte=now - WEEK).order_by()
    # Not of the key: the index holds none.
    counts = {word: Count("opened_at", filter=Q(opened_at__gte=since)) for word, since in spans.items()}
    return {"total": sum(by_type.values()), **young.aggregate(**counts), "by_type": by_type}
