"""Sync from a date again: where each kind of record would begin, how much is known since, and the verb's own work."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Count, F, Min, Q
from django.db.models.functions import Now
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _

from apps.actions.running import database_now
from apps.actions.verbs import Moved
from apps.integrations.connectors.shape import Reading
from apps.syncs.asking import asked_for
from apps.syncs.catalogue import kept_as, owner_of, readings_of
from apps.syncs.models import Sync, SyncCursor


@dataclass(frozen=True)
class Foreseen:
    """What would be read again of one kind of record."""

    entity: str
    label: str
    known: int
    """Records known that changed since then."""
    position: Mapping[str, Any] | None
    """Where it would begin; None: nothing changed since, so it goes on where it stands."""


def day_of(text: str) -> dt.datetime | None:
    """Return when a day began for the operators; None where it is none, or has not come yet."""
    try:
        day = parse_date(text)
    except ValueError:
        return None
    if day is None or day.year < 1970:
        return None
    moment = dt.datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(settings.OPS_TIME_ZONE))
    return moment if moment <= database_now() else None


def foreseen(sync: Sync, since: dt.datetime) -> list[Foreseen]:
    """Return, for each kind of record, what would be read again. Changes nothing."""
    return [_foreseen(sync, since, entity, reading) for entity, reading in readings_of(sync.service).items()]


def _foreseen(sync: Sync, since: dt.datetime, entity: str, reading: Reading) -> Foreseen:
    rows = kept_as(sync, entity)._default_manager.filter(**owner_of(sync, entity), changed_at__gte=since)
    known = rows.aggregate(count=Count("pk"), lowest=Min("revision", filter=Q(revision__gt=0)))
    position = reading.since(since, known["lowest"], sync.service.options, database_now())
    return Foreseen(entity, str(reading.label), known["count"], position)


def filled(rows: Sequence[Sync], given: Mapping[str, Any]) -> dict[UUID, dict[str, Any] | str]:
    """Refuse a day that is none or has not come yet."""
    wrong = "" if day_of(str(given.get("since", ""))) else _("no day that has come: give one such as 2026-01-31")
    return {row.pk: wrong or {} for row in rows}


def begun_again(moved: Moved) -> None:
    """Set the cursors back and queue a run. A page that is being read meanwhile is not written: the epoch has risen."""
    since = day_of(str(moved.given["since"]))
    if since is None:
        return
    for sync in Sync.objects.filter(pk__in=moved.ids).select_related("job", "tenant", "service").order_by("pk"):
        for told in foreseen(sync, since):
            if told.position is not None:
                _set_back(sync, told)
    asked_for(moved)


def _set_back(sync: Sync, told: Foreseen) -> None:
    SyncCursor.objects.get_or_create(sync=sync, entity=told.entity)
    SyncCursor.objects.filter(sync=sync, entity=told.entity).update(
        position=dict(told.position or {}), epoch=F("epoch") + 1, counts={}, began_at=Now()
    )
