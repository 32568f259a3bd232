"""What holds of operations, their dead letters and their counts at every moment, whoever does what."""

from collections import Counter
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, Sum

from apps.actions.models import ActionItem, ActionRun
from apps.deadletters.models import DeadLetter, FailureFamily
from apps.deadletters.models import Tally as LetterTally
from apps.operations.models import PendingOperation, Tally


def what_is_wrong() -> list[str]:
    """Return every broken promise in a sentence; nothing where all is well."""
    return [
        *_tally_is_off(),
        *_letters_miscounted(),
        *_letters_without_family(),
        *_letters_astray(),
        *_moves_without_record(),
        *_odd_leases(),
    ]


def _tally_is_off() -> list[str]:
    place = ("service_id", "queue_id", "status", "archived")
    told = Tally.objects.values_list(*place).annotate(n=Sum("change"))
    tally = Counter({tuple(where): n for *where, n in told if n})
    rows = PendingOperation.objects.annotate(archived=Q(archived_at__isnull=False))
    real = Counter({tuple(where): n for *where, n in rows.values_list(*place).annotate(n=Count("pk"))})
    return [] if tally == real else [f"the tally says {tally}, the rows say {real}"]


def _letters_miscounted() -> list[str]:
    place = ("status", "fingerprint", "title", "error_type", "entity_type", "service", "tenant")
    told = LetterTally.objects.order_by().values_list(*place).annotate(n=Sum("change"))
    tally = Counter({tuple(where): n for *where, n in told if n})
    letters = DeadLetter.objects.order_by().values_list(*place).annotate(n=Count("pk"))
    real = Counter({tuple(where): n for *where, n in letters})
    return [] if tally == real else [f"the tally of dead letters says {tally}, the rows say {real}"]


def _letters_without_family() -> list[str]:
    orphans = DeadLetter.objects.exclude(fingerprint__in=FailureFamily.objects.values("fingerprint"))
    return [f"{letter} is in no family" for letter in orphans]


def _letters_astray() -> list[str]:
    letters = dict(DeadLetter.objects.values_list("source_id", "status"))
    rows = PendingOperation.objects.values_list("pk", "status", "archived_at")
    return [
        f"{key} is {status}, its dead letter {letters.get(key)}"
        for key, status, archived_at in rows
        if _astray(status, archived_at, letters.get(key))
    ]


def _astray(status: str, archived_at: Any, letter: str | None) -> bool:
    if status == "failed" and archived_at is None:
        return letter != "unresolved"
    follows = "archived" if archived_at else "resolved" if status == "completed" else "retrying"
    return letter not in (follows, None)


def _moves_without_record() -> list[str]:
    counted = [(run, _items(run.pk, run.kind, run.verb)) for run in ActionRun.objects.all()]
    return [f"{run} moved {run.moved} rows and has {items} items" for run, items in counted if run.moved != items]


def _items(run: UUID, kind: str, verb: str) -> int:
    follow = f"follow_{verb}" if kind == "deadletters.deadletter" else verb
    return ActionItem.objects.filter(run_id=run, kind=kind, verb=follow).count()


def _odd_leases() -> list[str]:
    held = Q(token__isnull=False) & Q(lease_until__isnull=False)
    odd = PendingOperation.objects.filter(Q(status="processing") & ~held | ~Q(status="processing") & held)
    return [f"{row} is {row.status} with token {row.token}" for row in odd]
