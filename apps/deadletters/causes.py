"""What failed, by cause: dead letters alike are one line with a count, not a thousand lines."""

import datetime as dt
from dataclasses import dataclass

from django.db.models import Count, Max, Min

from apps.deadletters.models import DeadLetter

CAUSES_SHOWN = 20


@dataclass(frozen=True)
class Cause:
    """Unresolved dead letters with one fingerprint: how many, since when, and the newest of them."""

    fingerprint: str
    count: int
    since: dt.datetime
    last: dt.datetime
    sample: DeadLetter


def causes(limit: int = CAUSES_SHOWN) -> list[Cause]:
    """Return the causes with the most unresolved dead letters, the largest first."""
    unresolved = DeadLetter.objects.filter(status=DeadLetter.Status.UNRESOLVED).order_by()
    grouped = unresolved.values("fingerprint").annotate(
        count=Count("pk"), since=Min("opened_at"), last=Max("opened_at")
    )
    found = list(grouped.order_by("-count", "fingerprint")[:limit])
    newest = [unresolved.filter(fingerprint=group["fingerprint"]).order_by("-pk")[:1] for group in found]
    samples = {letter.fingerprint: letter for letter in newest[0].union(*newest[1:], all=True)} if newest else {}
    # A cause may be settled between the two statements.
    return [Cause(sample=samples[group["fingerprint"]], **group) for group in found if group["fingerprint"] in samples]
