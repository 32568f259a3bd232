"""How many dead letters stand where, from the database's own tally: none of them is scanned for a count."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, DateTimeField, ExpressionWrapper, F, Func, QuerySet, Sum, Value

from apps.actions.running import database_now
from apps.actions.tallies import fold
from apps.deadletters.models import DeadLetter, Tally

GROUPS_SHOWN = 100
WAITING = str(DeadLetter.Status.UNRESOLVED)


@dataclass(frozen=True)
class Group:
    """Unresolved dead letters of one error type and one entity (S4-59)."""

    error_type: str
    entity_type: str
    count: int
    oldest: dt.datetime
    newest: dt.datetime


@dataclass(frozen=True)
class Trend:
    """How often a family failed, by hour or by day, the oldest first."""

    since: dt.datetime
    step: dt.timedelta
    values: list[int]


HOURLY, DAILY = (dt.timedelta(hours=1), 24), (dt.timedelta(days=1), 14)
"""The width of a trend's steps, and how many there are."""


def counts() -> dict[str, int]:
    """Return how many dead letters stand in each state."""
    found = dict(Tally.objects.order_by().values_list("status").annotate(Sum("change")))
    return {status: max(found.get(status, 0), 0) for status in DeadLetter.Status.values}


def of_families(fingerprints: Iterable[str]) -> dict[str, dict[str, int]]:
    """Return how many dead letters of each family stand in each state."""
    rows = Tally.objects.filter(fingerprint__in=list(fingerprints)).order_by()
    found: dict[str, dict[str, int]] = {}
    for cause, status, count in rows.values_list("fingerprint", "status").annotate(Sum("change")):
        if count > 0:
            found.setdefault(cause, {})[status] = count
    return found


def touched(fingerprint: str, word: str) -> list[tuple[str, int]]:
    """Return what the unresolved dead letters of a family touch, by `service`, `tenant`, …, the most first."""
    rows = Tally.objects.filter(fingerprint=fingerprint, status=WAITING).order_by()
    found = rows.values_list(word).annotate(count=Sum("change")).filter(count__gt=0)
    return [(name, count) for name, count in found.order_by("-count", word) if name]


def largest(limit: int, without: QuerySet[Any]) -> dict[str, int]:
    """Return the families with the most unresolved dead letters, the largest first; `without` are fingerprints."""
    rows = Tally.objects.filter(status=WAITING).exclude(fingerprint__in=without).order_by()
    found = rows.values_list("fingerprint").annotate(count=Sum("change")).filter(count__gt=0)
    return dict(found.order_by("-count", "fingerprint")[:limit])


def groups(limit: int = GROUPS_SHOWN) -> list[Group]:
    """Return the unresolved by error type and entity, the most first (S4-59)."""
    rows = Tally.objects.filter(status=WAITING).order_by()
    counted = rows.values_list("error_type", "entity_type").annotate(count=Sum("change")).filter(count__gt=0)
    found = list(counted.order_by("-count", "error_type", "entity_type")[:limit])
    ends = _spans([(error, entity) for error, entity, _count in found])
    # A group may be settled between the two statements.
    return [
        Group(error, entity, count, *ends[error, entity]) for error, entity, count in found if (error, entity) in ends
    ]


def _spans(wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple[dt.datetime, dt.datetime]]:
    """Return the oldest and newest of each group: both ends of an index, in one query."""
    waiting = DeadLetter.objects.filter(status=WAITING).order_by()
    ends = [
        waiting.filter(error_type=error, entity_type=entity)
        .order_by(order)[:1]
        .values_list("error_type", "entity_type", "opened_at")
        for error, entity in wanted
        for order in ("opened_at", "-opened_at")
    ]
    found: dict[tuple[str, str], list[dt.datetime]] = {}
    for error, entity, moment in ends[0].union(*ends[1:], all=True) if ends else []:
        found.setdefault((error, entity), []).append(moment)
    return {group: (min(moments), max(moments)) for group, moments in found.items()}


def trends(fingerprints: Iterable[str], span: tuple[dt.timedelta, int] = HOURLY) -> dict[str, Trend]:
    """Return how often each family failed lately; one look at an index for all of them."""
    (step, steps), wanted = span, list(fingerprints)
    now = database_now()
    begin = now - steps * step
    place = Func(Value(step), F("opened_at"), Value(begin), function="date_bin")
    rows = DeadLetter.objects.filter(fingerprint__in=wanted, opened_at__gte=begin, opened_at__lt=now).order_by()
    counted = rows.annotate(place=ExpressionWrapper(place, DateTimeField())).values_list("fingerprint", "place")
    values = {cause: [0] * steps for cause in wanted}
    for cause, moment, count in counted.annotate(count=Count("*")):  # not of the key: the index holds none
        values[cause][min(int((moment - begin) / step), steps - 1)] = count
    return {cause: Trend(begin, step, found) for cause, found in values.items()}


def fold_tallies() -> None:
    """Fold the counting rows together."""
    fold(Tally)
