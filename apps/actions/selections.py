"""What a verb is asked for: rows ticked one by one, or all that match a filter at the moment of asking."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import reduce
from hashlib import sha256
from operator import or_
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import FieldError, ValidationError
from django.db.models import BooleanField, DateTimeField, DurationField, Q, UUIDField
from django.utils.dateparse import parse_date, parse_datetime, parse_duration
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.actions.actors import Actor
from apps.actions.models import ActionItem
from apps.actions.verbs import Acted, ActedQuerySet, Invalid, UnknownFilter, kind_of

TICKED_AT_MOST = 1000
"""More rows than that are asked for by a filter."""
EMPTY = '""'
"""How a filter writes the empty word: the rows that have none."""
NAMES_KNOWN = 1000
"""So many names of services, queues, … are looked through for the one that was meant."""


OF_RUN = "run"
"""A word of every noun's filter: the rows that an action run moved, `run=<id>` or `run=<id>:failed_again`."""
STILL_OPEN = "still_open"
OUTCOMES = ("confirmed", "failed_again", STILL_OPEN)


@dataclass(frozen=True)
class Selection:
    """The rows a verb is asked for. Made by `ticked` or `matching`."""

    model: type[Acted]
    ids: tuple[UUID, ...] | None = None
    filters: Mapping[str, str] = field(default_factory=dict)
    asked_at: dt.datetime | None = None

    @classmethod
    def ticked(cls, model: type[Acted], ids: Iterable[UUID | str]) -> "Selection":
        """Select rows by their ids; `Invalid` where one is no id or where they are too many."""
        try:
            keys = tuple(sorted({key if isinstance(key, UUID) else UUID(key) for key in ids}))
        except (ValueError, AttributeError, TypeError) as error:
            raise Invalid(_("That is not an id. An id looks like 0192f0c1-2b3c-7def-8a90-0123456789ab.")) from error
        if not keys:
            raise Invalid(_("No row is ticked. Tick at least one."))
        if len(keys) > TICKED_AT_MOST:
            raise Invalid(_("At most %(most)s ids at once; use a filter for more.") % {"most": TICKED_AT_MOST})
        return cls(model, ids=keys)

    @classmethod
    def matching(cls, model: type[Acted], filters: Mapping[str, str]) -> "Selection":
        """Select all rows that match the words of a filter; `UnknownFilter` names an unknown word and suggests one."""
        given = {word: _normal(model, word, str(value)) for word, value in sorted(filters.items()) if str(value) != ""}
        selection = cls(model, filters=given)
        selection.condition()
        return selection

    @classmethod
    def from_record(cls, model: type[Acted], record: Mapping[str, Any]) -> "Selection":
        """Read back what `as_record` wrote into a run."""
        if "ids" in record:
            return cls(model, ids=tuple(UUID(key) for key in record["ids"]))
        return cls(model, filters=record["filters"], asked_at=parse_datetime(record["asked_at"] or ""))

    def as_record(self, asked_at: dt.datetime) -> dict[str, Any]:
        """Return the selection as a run keeps it: frozen ids, or the filter and the moment of asking."""
        if self.ids is not None:
            return {"ids": [str(key) for key in self.ids]}
        return {"filters": dict(self.filters), "asked_at": asked_at.isoformat()}

    def digest(self) -> str:
        """Return what tells this filter from others; empty for ticked rows."""
        told = "\x1f".join(part for pair in sorted(self.filters.items()) for part in pair)
        return "" if self.ids is not None else sha256(told.encode()).hexdigest()

    def rows(self, actor: Actor | None = None) -> ActedQuerySet[Any]:
        """Return the rows, as far as the actor may see them (None: the run was already let through)."""
        rows: ActedQuerySet[Any] = self.model._default_manager.all()
        if actor is not None:
            rows = rows.visible_to(actor)
        if self.ids is not None:
            return rows.filter(pk__in=self.ids)
        if self.asked_at is not None:
            rows = rows.filter(**{f"{self.model.made_at}__lte": self.asked_at})
        return rows.filter(self.condition())

    def condition(self) -> Q:
        """Return the filter as a condition; rows out of the live ones match only where the filter names them."""
        condition = Q() if _names_the_dead(self.model, self.filters) else self.model.live_rows
        for word, value in self.filters.items():
            condition &= _search(self.model, value) if word == "q" else _condition(self.model, word, value)
        return condition

    def words(self) -> str:
        """Return what is selected, for people and for the record."""
        plural = self.model._meta.verbose_name_plural
        if self.ids is not None:
            return ngettext(
                "%(count)s ticked row of %(plural)s", "%(count)s ticked rows of %(plural)s", len(self.ids)
            ) % {
                "count": len(self.ids),
                "plural": plural,
            }
        if not self.filters:
            return _("all %(plural)s") % {"plural": plural}
        told = ", ".join(_words(self.model, word, value) for word, value in self.filters.items())
        return _("%(plural)s with %(filter)s") % {"plural": plural, "filter": told}


def closest(word: str, known: Sequence[str]) -> str:
    """Return "did you mean …?" for a word that is not among the known ones, or what is known where nothing is near."""
    if not known:
        return _("there is none yet.")
    near = get_close_matches(word.lower(), known, n=1)
    if near:
        return _("did you mean %(word)s?") % {"word": near[0]}
    return _("known: %(words)s.") % {"words": ", ".join(known)}


def _names_the_dead(model: type[Acted], filters: Mapping[str, str]) -> bool:
    """Say whether the filter speaks of the very columns by which a noun leaves its live rows (`archived=yes`)."""
    if OF_RUN in filters:  # what a run moved is what it moved, wherever it stands now
        return True
    columns = {str(child[0]).split("__")[0] for child in model.live_rows.children if isinstance(child, tuple)}
    return any(model.filters[word].split("__")[0] in columns for word in filters if word in model.filters)


def plain(text: str) -> bool:
    """Say whether a text can be stored and compared: no NUL, no half of a surrogate pair."""
    try:
        return "\0" not in text and bool(text.encode() or True)
    except UnicodeEncodeError:
        return False


def _search(model: type[Acted], text: str) -> Q:
    if not model.searches:
        raise Invalid(_("%(plural)s cannot be searched.") % {"plural": model._meta.verbose_name_plural})
    if not text:
        return Q()
    key = _key(text)
    lookups = [
        lookup for lookup in model.searches if key is not None or not isinstance(_first(model, lookup), UUIDField)
    ]
    conditions = ([] if key is None else [Q(pk=key)]) + [Q(**{lookup: text}) for lookup in lookups]
    if any(_first(model, lookup).is_relation for lookup in lookups):
        return _found(model, conditions)
    return reduce(or_, conditions)


def _first(model: type[Acted], lookup: str) -> Any:
    return model._meta.get_field(lookup.split("__")[0])


def _found(model: type[Acted], conditions: Sequence[Q]) -> Q:
    """Return any of the conditions, each looked up by itself: over two tables no index serves an OR."""
    first, *others = (model._base_manager.filter(condition).order_by().values("pk") for condition in conditions)
    return Q(pk__in=first.union(*others) if others else first)


def _key(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def _normal(model: type[Acted], word: str, value: str) -> str:
    """Return the value as runs keep it; runbook 3 writes states in upper case (S3-31)."""
    if not plain(value) or len(value) > 500:
        raise UnknownFilter(_("%(word)s takes up to 500 characters of plain text.") % {"word": word})
    if word == "q":
        return value.strip()
    if word == OF_RUN:
        return ":".join(part for part in _run_and_outcome(value) if part is not None)
    parts = [part.strip() for part in value.split(",")]
    return ",".join(part.lower() for part in parts) if _choices(model, _lookup(model, word)) else ",".join(parts)


def _lookup(model: type[Acted], word: str) -> str:
    if word not in model.filters:
        raise UnknownFilter(
            _("There is no filter %(word)s; %(hint)s")
            % {"word": word, "hint": closest(word, [*model.filters, OF_RUN, "q"])}
        )
    return model.filters[word]


def _choices(model: type[Acted], lookup: str) -> list[str]:
    """Return the words a column knows, where it knows only certain ones."""
    if "__" in lookup:
        return []
    return [str(choice) for choice, _label in getattr(model._meta.get_field(lookup), "flatchoices", [])]


def _run_and_outcome(value: str) -> tuple[str, str | None]:
    """Read `run`: the id of an action run, and after a colon what became of its rows."""
    key, colon, outcome = value.strip().partition(":")
    if _key(key) is None:
        raise UnknownFilter(_("run takes the id of an action run, and after a colon what became of its rows."))
    if colon and outcome not in OUTCOMES:
        raise UnknownFilter(
            _("%(value)s is no %(word)s; %(hint)s")
            % {"value": outcome, "word": OF_RUN, "hint": closest(outcome, OUTCOMES)}
        )
    return str(_key(key)), outcome if colon else None


def _of_run(model: type[Acted], value: str) -> Q:
    """Return the rows that a run moved, or those of them that came to one outcome: exactly those its score counts."""
    key, outcome = _run_and_outcome(value)
    items = ActionItem.objects.filter(run=UUID(key), kind=kind_of(model))
    if outcome is not None:
        items = items.filter(outcome="" if outcome == STILL_OPEN else outcome)
    return Q(pk__in=items.order_by().values("object_id"))


def _words(model: type[Acted], word: str, value: str) -> str:
    if word in model.spelled:
        spell = import_string(model.spelled[word])
        return f"{word} = {', '.join(spell(part) for part in value.split(','))}"
    if word != OF_RUN:
        return f"{word} = {value}"
    key, outcome = _run_and_outcome(value)
    told = {
        "run": key[-8:],
        "outcome": ActionItem.Outcome("" if outcome == STILL_OPEN else outcome).label if outcome else "",
    }
    return (_("run = %(run)s, %(outcome)s") if outcome else _("run = %(run)s")) % told


def _condition(model: type[Acted], word: str, value: str) -> Q:
    if word == OF_RUN:
        return _of_run(model, value)
    lookup = _lookup(model, word)
    if lookup.endswith("__isnull"):
        return Q(**{lookup: not _yes(word, value)})
    column = model._meta.get_field(lookup.split("__")[0])
    column = getattr(column, "output_field", column)  # of one that the database generates, what it holds
    if column.is_relation:
        return _related(column, word, lookup, value.split(","))
    if isinstance(column, DateTimeField):
        return Q(**{lookup: moment(word, value)})
    if isinstance(column, DurationField):
        return Q(**{lookup: _span(word, value)})
    if isinstance(column, BooleanField):
        return Q(**{lookup: _yes(word, value)})
    values = ["" if part == EMPTY else part for part in value.split(",")]
    for part in values:
        _known(word, part, _choices(model, lookup))
    condition = Q(**{lookup: values[0]}) if len(values) == 1 else Q(**{f"{lookup}__in": values})
    try:
        model._default_manager.filter(condition)
    except (FieldError, ValueError, ValidationError, TypeError) as error:
        raise UnknownFilter(_("%(value)s is no value for %(word)s.") % {"value": value, "word": word}) from error
    return condition


def _related(column: Any, word: str, lookup: str, values: Sequence[str]) -> Q:
    """Return the condition by key, not by join: a join over a million rows is planned anew for every batch."""
    path, name = lookup.split("__", 1)
    rows = column.related_model._default_manager
    keys = dict(rows.filter(**{f"{name}__in": values}).values_list(name, "pk"))
    for value in values:
        if value not in keys:
            _known(word, value, list(rows.values_list(name, flat=True)[:NAMES_KNOWN]))
    return Q(**{path: next(iter(keys.values()))}) if len(keys) == 1 else Q(**{f"{path}__in": list(keys.values())})


def _known(word: str, value: str, known: Sequence[str]) -> None:
    if known and value not in known:
        raise UnknownFilter(
            _("%(value)s is no %(word)s; %(hint)s") % {"value": value, "word": word, "hint": closest(value, known)}
        )


def moment(word: str, value: str) -> dt.datetime:
    """Return a moment; without a zone it is meant as the operators' clocks show it."""
    try:
        moment = parse_datetime(value)
        day = None if moment else parse_date(value)
    except ValueError:
        moment = day = None
    if day is not None:
        moment = dt.datetime(day.year, day.month, day.day)  # noqa: DTZ001 # the zone follows
    if moment is None:
        raise UnknownFilter(
            _("%(word)s takes a day or a moment: 2026-01-31 or 2026-01-31T18:00:00-03:00.") % {"word": word}
        )
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(settings.OPS_TIME_ZONE))


def _span(word: str, value: str) -> dt.timedelta:
    try:
        span = parse_duration(value)
    except OverflowError:
        span = None
    if span is None:
        raise UnknownFilter(
            _("%(word)s takes seconds, or hours, minutes and seconds: 90 or 00:01:30.") % {"word": word}
        )
    return span


def _yes(word: str, value: str) -> bool:
    try:
        return {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False}[value.lower()]
    except KeyError as error:
        raise UnknownFilter(_("%(word)s takes yes or no.") % {"word": word}) from error
