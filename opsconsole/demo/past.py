"""Moving what was done a moment ago to when it should have been: times are set in the rows, never slept."""

import datetime as dt
from secrets import randbits
from uuid import UUID

from django.db.models import (
    DateTimeField,
    DurationField,
    ExpressionWrapper,
    F,
    Max,
    OuterRef,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.functions import Random

from apps.actions.models import ActionItem, ActionRun
from apps.deadletters.models import DeadLetter, FailureFamily
from apps.operations.models import Attempt, PendingOperation

SECONDS_OF_WORK = 2
"""Each row takes up to so long after its moment, as work does."""


def id_at(moment: dt.datetime) -> UUID:
    """Return an id as one made at that moment would be: walking the key is walking time."""
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | randbits(12) << 64 | 0b10 << 62 | randbits(62))


class Since:
    """What was written since this was made, and can be moved into the past."""

    def __init__(self) -> None:
        self.attempt = Attempt.objects.aggregate(last=Max("pk"))["last"] or 0
        self.item = ActionItem.objects.aggregate(last=Max("pk"))["last"] or 0

    def move(
        self, rows: QuerySet[PendingOperation], to: dt.datetime | None = None, late_by: dt.timedelta = dt.timedelta()
    ) -> None:
        """Move what was done for these operations to a moment, or for each to that of its own creation, or later."""
        took = ExpressionWrapper(Value(dt.timedelta(seconds=SECONDS_OF_WORK)) * Random(), DurationField())
        begun = Value(to, DateTimeField()) if to else F("created_at")
        done_at = ExpressionWrapper(begun + Value(late_by) + took, DateTimeField())
        rows.update(last_attempt_at=done_at)
        rows.update(updated_at=F("last_attempt_at"))
        rows.filter(called_at__isnull=False).update(called_at=F("last_attempt_at"))
        rows.filter(status="completed").update(completed_at=F("last_attempt_at"))
        rows.filter(status="failed").update(failed_at=F("last_attempt_at"))
        attempts = Attempt.objects.filter(pk__gt=self.attempt, operation__in=rows)
        attempts.update(at=_last_attempt_of("operation_id"))
        letters = DeadLetter.objects.filter(source_id__in=rows.values("pk"))
        _move_letters(letters)
        _move_families(FailureFamily.objects.filter(fingerprint__in=letters.values("fingerprint")))

    def move_run(self, run: ActionRun, to: dt.datetime) -> None:
        """Move a run of a verb to a moment, and the items it left."""
        begun = dict.fromkeys(("created_at", "started_at", "released_at"), to)
        ActionRun.objects.filter(pk=run.pk).update(**begun, finished_at=to + dt.timedelta(seconds=9))
        self.move_items(to)

    def move_items(self, to: dt.datetime) -> None:
        """Move the items that were left since."""
        ActionItem.objects.filter(pk__gt=self.item).update(created_at=to)


def _move_letters(letters: QuerySet[DeadLetter]) -> None:
    at = _last_attempt_of("source_id")
    letters.filter(status=DeadLetter.Status.UNRESOLVED).update(created_at=at, opened_at=at)
    letters.filter(status=DeadLetter.Status.RESOLVED).update(resolved_at=at)


def _move_families(families: QuerySet[FailureFamily]) -> None:
    first = DeadLetter.objects.filter(fingerprint=OuterRef("fingerprint")).order_by("opened_at").values("opened_at")
    families.update(created_at=Subquery(first[:1]), first_seen_at=Subquery(first[:1]))


def _last_attempt_of(column: str) -> Subquery:
    return Subquery(PendingOperation.objects.filter(pk=OuterRef(column)).values("last_attempt_at"))
