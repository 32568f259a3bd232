"""How dead letters open and follow their sources. Everything here runs inside the transaction that moves the source."""

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from apps.actions import statements
from apps.actions.verbs import Acted, Lead, Move, Moved, Step, kind_of, nouns
from apps.deadletters.fingerprints import fingerprint
from apps.deadletters.models import DeadLetter, FailureFamily, LetterWords

WORDS_AT_MOST = 2000
"""So many characters of the error, and of the payload, are kept for searches."""

ANY_OPEN = """
SELECT EXISTS (SELECT FROM deadletters_deadletter WHERE source_kind = %s AND source_id = ANY(%s::uuid[]) AND status = ANY(%s))
"""


def opened(moved: Moved, instead: Mapping[UUID, UUID] | None = None) -> None:
    """Open a dead letter for each source that gave up; one that is known already is reopened with its repeats.

    `instead` names, for a source, the earlier one whose letter stands for both.
    """
    kind = kind_of(moved.move.model)
    letters = {(instead or {}).get(letter.source_id, letter.source_id): letter for letter in _written(kind, moved)}
    families = _families(letters.values())
    known = DeadLetter.objects.filter(source_kind=kind, source_id__in=letters)
    again = {key: letters.pop(source_id) for source_id, key in known.values_list("source_id", "pk")}
    if again:
        _follow(DeadLetter.reopen, known, moved, each={key: _failure_of(letter) for key, letter in again.items()})
    DeadLetter.objects.bulk_create(letters.values())
    _keep_words(again | {letter.pk: letter for letter in letters.values()})
    _joined(families, moved)


def settled(moved: Moved) -> None:
    """The sources succeeded: their dead letters are resolved. Most had none, and a look costs a tenth of a move."""
    with connection.cursor() as cursor:
        cursor.execute(ANY_OPEN, [kind_of(moved.move.model), statements.array(moved.ids), [*DeadLetter.OPEN]])
        [(some,)] = cursor.fetchall()
    if some:
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
    new = [letter for letter in _written(kind_of(moved.move.model), moved) if letter.source_id not in known]
    DeadLetter.objects.bulk_create(new)
    _keep_words({letter.pk: letter for letter in new})
    _joined(_families(new), moved)


def leads(verb: Move, rows: QuerySet[Any]) -> list[Lead]:
    """Return, for a verb asked for on dead letters, the verb of each kind of source and the sources it runs on."""
    return [_lead(model, verb, rows.filter(source_kind=kind_of(model))) for model in sources()]


def sources() -> list[type[Acted]]:
    """Return the nouns that leave dead letters: those that say which of their verbs a dead letter's verbs run."""
    return [model for model in nouns() if hasattr(model, "dead_letter_verbs")]


def _lead(model: Any, verb: Move, letters: QuerySet[Any]) -> Lead:
    named = model.dead_letter_verbs.get(verb.name)
    leading = getattr(model, named) if named else _staying(model, verb)
    return Lead(leading, model._default_manager.filter(pk__in=letters.values("source_id")), letters, by="source_id")


def _staying(model: type[Acted], verb: Move) -> Move:
    """Return the move of a kind of work that has no such verb: it refuses every row, in a sentence."""
    words = _("%(plural)s have no such verb") % {"plural": model._meta.verbose_name_plural}
    stays = Move(verb.label, unless=[(Q(pk__isnull=False), words)])
    stays.__set_name__(model, verb.name)
    return stays


def _written(kind: str, moved: Moved) -> Iterator[DeadLetter]:
    model: Any = moved.move.model
    columns: dict[str, str] = model.dead_letter
    kept = getattr(model, "dead_letter_payload", None)
    for row in moved.rows.order_by("pk").values("pk", *columns.values(), *([kept] if kept else [])):
        told = {name: row[column] or "" for name, column in columns.items()}
        told["attempts"] = told.get("attempts") or 0
        # Before the words for no error, which are in the language of whoever asks: the cause is one.
        cause = fingerprint(kind, told["service"], told["error_type"], message=told["message"])
        told["message"] = told["message"] or _("no error was recorded")
        letter = DeadLetter(source_kind=kind, source_id=row["pk"], fingerprint=cause, **told)
        LetterWords(letter=letter, words=_words(letter, masked_payload(model, row[kept]) if kept else None))
        yield letter


@dataclass(frozen=True)
class Source:
    """What a dead letter's source is, as far as it may be shown: its payload is masked."""

    payload: Any
    created_at: dt.datetime


def source_of(letter: DeadLetter) -> Source | None:
    """Return a dead letter's source; None where it is no longer kept, or has no payload to show."""
    model = next((model for model in sources() if kind_of(model) == letter.source_kind), None)
    column = getattr(model, "dead_letter_payload", "")
    if model is None or not column:
        return None
    found = model._default_manager.filter(pk=letter.source_id).values_list(column, model.made_at).first()
    return Source(masked_payload(model, found[0]), found[1]) if found else None


def masked_payload(model: Any, payload: Any) -> Any:
    """Return the payload of a source as its noun masks it; nothing where it names no mask."""
    mask = getattr(model, "dead_letter_mask", "")
    return import_string(mask)(payload) if mask else None


def _words(letter: DeadLetter, payload: Any) -> str:
    """Return what a search looks through."""
    told = "" if payload is None else json.dumps(payload, ensure_ascii=False, default=str)
    words = (letter.message[:WORDS_AT_MOST], letter.entity_id, told[:WORDS_AT_MOST])
    return "\n".join(word for word in words if word)


def _failure_of(letter: DeadLetter) -> dict[str, Any]:
    """Return what a new failure writes over the old one."""
    columns = ("error_type", "failure_class", "message", "fingerprint", "attempts")
    return {name: getattr(letter, name) for name in columns}


def _keep_words(letters: Mapping[UUID, DeadLetter]) -> None:
    """Let each dead letter, by its key, be found by what was said of the newest failure."""
    rows = [LetterWords(letter_id=key, words=letter.searched.words) for key, letter in letters.items()]
    LetterWords.objects.bulk_create(rows, update_conflicts=True, unique_fields=["letter"], update_fields=["words"])


def _families(letters: Iterable[DeadLetter]) -> dict[str, FailureFamily]:
    """Return the families of dead letters by fingerprint, in its order, as the first of each would make them."""
    return {letter.fingerprint: FailureFamily.of(letter) for letter in sorted(letters, key=attrgetter("fingerprint"))}


def _joined(families: Mapping[str, FailureFamily], moved: Moved) -> None:
    """Make the families that are not there yet; open those again that were called mended.

    A family is inserted once and then only looked at, so that drains do not wait for each other. What fails in the very
    moment in which a person resolves its family leaves it resolved until the next one; the home page shows it either way.
    """
    states = dict(FailureFamily.objects.filter(fingerprint__in=families).values_list("fingerprint", "status"))
    missing = [family for cause, family in families.items() if cause not in states]
    if missing:
        FailureFamily.objects.bulk_create(missing, ignore_conflicts=True)
    over = [cause for cause, status in states.items() if status in _MAY_REGRESS]
    if over:
        rows = FailureFamily.objects.filter(fingerprint__in=over)
        statements.move(FailureFamily.regress, rows, limit=len(over), actor_name=moved.actor_name)


_MAY_REGRESS = (FailureFamily.Status.RESOLVED, FailureFamily.Status.IGNORED)


def _letters(moved: Moved) -> QuerySet[DeadLetter]:
    return DeadLetter.objects.filter(source_kind=kind_of(moved.move.model), source_id__among={*moved.ids})


def _follow(step: Step, letters: QuerySet[DeadLetter], moved: Moved, each: Any = None, **given: Any) -> None:
    """Move the letters of what moved; those that stand elsewhere already stay, without a word."""
    who: dict[str, Any] = {"run_id": moved.run_id, "actor_name": moved.actor_name}
    statements.move(step, letters, limit=len(moved.ids), given=given, each=each, **who)
