"""How dead letters open and follow their sources. Everything here runs inside the transaction that moves the source."""

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from apps.actions import statements
from apps.actions.verbs import Acted, Lead, Move, Moved, Step, kind_of, nouns
from apps.deadletters.fingerprints import fingerprint
from apps.deadletters.models import DeadLetter


def opened(moved: Moved) -> None:
    """Open a dead letter for each source that gave up; one that is known already is reopened with its repeats."""
    kind = kind_of(moved.move.model)
    letters = {letter.source_id: letter for letter in _written(kind, moved)}
    known = DeadLetter.objects.filter(source_kind=kind, source_id__in=letters)
    again = {key: _told(letters.pop(source_id)) for source_id, key in known.values_list("source_id", "pk")}
    if again:
        _follow(DeadLetter.reopen, known, moved, each=again)
    DeadLetter.objects.bulk_create(letters.values())


def settled(moved: Moved) -> None:
    """The sources succeeded: their dead letters are resolved."""
    _follow(DeadLetter.settle, _letters(moved).filter(status__in=DeadLetter.OPEN), moved)


def retried(moved: Moved) -> None:
    """The sources are on their way again."""
    _follow(DeadLetter.follow_retry, _letters(moved), moved)


def resolved(moved: Moved) -> None:
    """A person settled the sources."""
    _follow(DeadLetter.follow_resolve, _letters(moved), moved, note=moved.given.get("note", ""))


def archived(moved: Moved) -> None:
    """The sources were put away."""
    _follow(DeadLetter.follow_archive, _letters(moved), moved, reason=moved.given.get("reason", ""))


def restored(moved: Moved) -> None:
    """The sources were brought back; one that was cancelled before it ever failed has a dead letter from now on."""
    _follow(DeadLetter.follow_restore, _letters(moved), moved)
    known = set(_letters(moved).values_list("source_id", flat=True))
    DeadLetter.objects.bulk_create(
        letter for letter in _written(kind_of(moved.move.model), moved) if letter.source_id not in known
    )


def leads(verb: Move, rows: QuerySet[Any]) -> list[Lead]:
    """Return, for a verb asked for on dead letters, the verb of each kind of source and the sources it runs on."""
    return [_lead(model, verb, rows.filter(source_kind=kind_of(model))) for model in sources()]


def sources() -> list[type[Acted]]:
    """Return the nouns that leave dead letters: those that say which of their verbs a dead letter's verbs run."""
    return [model for model in nouns() if hasattr(model, "dead_letter_verbs")]


def _lead(model: Any, verb: Move, letters: QuerySet[Any]) -> Lead:
    leading = getattr(model, model.dead_letter_verbs[verb.name])
    return Lead(leading, model._default_manager.filter(pk__in=letters.values("source_id")), letters, by="source_id")


def _written(kind: str, moved: Moved) -> Iterator[DeadLetter]:
    columns: dict[str, str] = moved.move.model.dead_letter  # type: ignore[attr-defined] # every source names them
    for row in moved.rows.order_by("pk").values("pk", *columns.values()):
        told = {name: row[column] or "" for name, column in columns.items()}
        # Before the words for no error, which are in the language of whoever asks: the cause is one.
        cause = fingerprint(kind, told["service"], told["error_type"], message=told["message"])
        told["message"] = told["message"] or _("no error was recorded")
        yield DeadLetter(source_kind=kind, source_id=row["pk"], fingerprint=cause, **told)


def _told(letter: DeadLetter) -> dict[str, str]:
    return {name: getattr(letter, name) for name in ("error_type", "failure_class", "message", "fingerprint")}


def _letters(moved: Moved) -> QuerySet[DeadLetter]:
    return DeadLetter.objects.filter(source_kind=kind_of(moved.move.model), source_id__in=list(moved.ids))


def _follow(step: Step, letters: QuerySet[DeadLetter], moved: Moved, each: Any = None, **given: Any) -> None:
    """Move the letters of what moved; those that stand elsewhere already stay, without a word."""
    who: dict[str, Any] = {"run_id": moved.run_id, "actor_name": moved.actor_name}
    statements.move(step, letters, limit=len(moved.ids), given=given, each=each, **who)
