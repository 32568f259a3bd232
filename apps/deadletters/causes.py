"""What waits, by family: dead letters that failed alike are one line with a count, not a thousand lines."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now

from apps.actions.models import ActionRun
from apps.actions.running import step
from apps.actions.selections import Selection
from apps.actions.verbs import kind_of
from apps.deadletters import backlog
from apps.deadletters.models import DeadLetter, FailureFamily

CAUSES_SHOWN = 20
FINGERPRINT_SHOWN = 8

_waiting = DeadLetter.objects.filter(status=DeadLetter.Status.UNRESOLVED)
_its = _waiting.filter(fingerprint=OuterRef("fingerprint"))


@dataclass(frozen=True)
class Cause:
    """The unresolved dead letters of one family: how many, since when, and what the newest of them says."""

    family: FailureFamily
    count: int
    since: dt.datetime
    last: dt.datetime
    title: str
    failure_class: str
    message: str


def causes(limit: int = CAUSES_SHOWN, *, quiet: bool = False) -> list[Cause]:
    """Return the families with the most unresolved dead letters, the largest first; ignored ones where `quiet` is asked for."""
    without = FailureFamily.objects.none() if quiet else ignored()
    counted = backlog.largest(limit, without.values("fingerprint"))
    newest = {f"newest_{name}": _end("-pk", name) for name in ("title", "failure_class", "message")}
    rows = FailureFamily.objects.filter(fingerprint__in=counted).annotate(
        since=_end("opened_at", "opened_at"), last=_end("-opened_at", "opened_at"), **newest
    )
    found: dict[str, Any] = {family.fingerprint: family for family in rows if family.since}
    # A family may be settled between the two statements.
    return [_cause(found[cause], count) for cause, count in counted.items() if cause in found]


def _cause(family: Any, count: int) -> Cause:
    newest = (family.newest_title, family.newest_failure_class, family.newest_message)
    return Cause(family, count, family.since, family.last, *newest)


def _end(order: str, column: str) -> Subquery:
    """Return a column of a family's first unresolved dead letter in an order: one end of an index."""
    return Subquery(_its.order_by(order).values(column)[:1])


def ignored() -> QuerySet[FailureFamily]:
    """Return the families that nobody is to be told of now."""
    endless = Q(ignored_until__isnull=True) | Q(ignored_until__gt=Now())
    rows: QuerySet[FailureFamily] = FailureFamily.objects.filter(endless, status=FailureFamily.Status.IGNORED)
    return rows


def regress_lapsed() -> None:
    """Open again, as the system, what was ignored until a moment that has passed and still has dead letters waiting."""
    lapsed = FailureFamily.objects.filter(status=FailureFamily.Status.IGNORED, ignored_until__lte=Now())
    step(FailureFamily.regress, lapsed.filter(Exists(_its)))


def last_seen(families: Iterable[FailureFamily]) -> dict[str, dt.datetime | None]:
    """Return when the newest dead letter of each family, whatever its state, was given up: one end of an index each."""
    rows = FailureFamily.objects.filter(pk__in=[family.pk for family in families])
    newest = DeadLetter.objects.filter(fingerprint=OuterRef("fingerprint")).order_by("-opened_at")
    return dict(rows.values_list("fingerprint", Subquery(newest.values("opened_at")[:1])))


def worked_last_time(family: FailureFamily) -> ActionRun | None:
    """Return the newest run over exactly this family's dead letters that ended with confirmed rows.

    Its own numbers are told, so that a row which failed again of another cause counts as failed again.
    """
    runs = ActionRun.objects.filter(kind=kind_of(DeadLetter), over__in=_asked_for(family))
    ended = runs.filter(status=ActionRun.Status.FINISHED, confirmed__gt=0)
    found: ActionRun | None = ended.order_by("-id").first()
    return found


def called(fingerprint: str) -> str:
    """Return what a family is called, for those who read of a selection by its fingerprint."""
    family = FailureFamily.objects.filter(fingerprint=fingerprint).first()
    return str(family) if family else fingerprint[:FINGERPRINT_SHOWN]


def _asked_for(family: FailureFamily) -> Iterable[str]:
    """Return the digests of the filters that mean the whole family, as buttons, lists and calls write them."""
    whole = {"family": family.fingerprint}
    waiting = whole | {"status": str(DeadLetter.Status.UNRESOLVED)}
    return [Selection.matching(DeadLetter, words).digest() for words in (whole, waiting)]
