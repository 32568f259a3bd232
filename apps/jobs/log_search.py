"""Which lines of the log are asked for: the same words on the page, over the API and on the command line."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, Min, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils.translation import gettext as _

from apps.actions.actors import Actor
from apps.actions.running import database_now
from apps.actions.selections import closest, moment
from apps.actions.verbs import NotPermitted, UnknownFilter
from apps.deadletters.fingerprints import normalised
from apps.jobs import phones
from apps.jobs.models import LogLine

READ_LOGS = f"jobs.{LogLine.read_permission[0]}"
LEVELS = {level.name.lower(): level.value for level in LogLine.Level}
SHORTEST = 3
"""A text shorter than that is in no index of trigrams."""
FEWEST_DIGITS = 8
LONGEST_HOURS = 24 * 366
PATTERN_HOURS = 24
"""Patterns are counted over so many hours where nobody says otherwise."""
PATTERNS_AT_MOST = 100
SLACK = dt.timedelta(minutes=1)
"""A line's id is made a moment after its time."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Lines that differ only in ids, numbers, dates, phones and quoted values: how many, and since and until when."""

    pattern: str
    text: str
    level: int
    count: int
    first_at: dt.datetime
    last_at: dt.datetime

    @property
    def level_word(self) -> str:
        """How grave the gravest of them is."""
        return LogLine.Level(self.level).name.lower()


def require_reading(actor: Actor) -> None:
    """Raise `NotPermitted` where the actor may not read the log."""
    if not actor.may(READ_LOGS):
        raise NotPermitted(
            _("%(actor)s may not read the log. Ask a supervisor for the permission %(permission)s.")
            % {"actor": actor.name, "permission": READ_LOGS},
            code="not_permitted",
        )


def matching(words: Mapping[str, str]) -> QuerySet[LogLine]:
    """Return the lines that the words ask for, newest first; `UnknownFilter` says which word cannot be read, and why."""
    rows = LogLine.objects.all()
    for word, value in words.items():
        if word not in CONDITIONS:
            raise UnknownFilter(
                _("Lines of the log have no word %(word)s; %(hint)s")
                % {"word": word, "hint": closest(word, [*CONDITIONS])},
                code="unknown_word",
            )
        if value.strip():
            rows = rows.filter(CONDITIONS[word](word, value.strip()))
    return rows.order_by("-id")


def older_than(rows: QuerySet[LogLine], key: UUID) -> QuerySet[LogLine]:
    """Return those of the lines that stand behind another one; parts of later days are not looked at."""
    return rows.filter(id__lt=key, at__lt=_time_of(key) + SLACK)


def newer_than(rows: QuerySet[LogLine], moment: dt.datetime) -> QuerySet[LogLine]:
    """Return those of the lines that were said since a moment."""
    return rows.filter(_from(moment))


def patterns(words: Mapping[str, str]) -> list[Pattern]:
    """Count the lines that the words ask for by what they have in common, the most frequent first."""
    bounded = words if words.get("hours") or words.get("since") else {**words, "hours": str(PATTERN_HOURS)}
    counted = (
        matching(bounded)
        .order_by()
        .values("pattern")
        .annotate(
            lines=Count("*"), first=Min("at"), last=Max("at"), gravest=Max("level"), newest=Max(Cast("id", TextField()))
        )
    )
    found = list(counted.order_by("-lines", "-last")[:PATTERNS_AT_MOST])
    keys = [UUID(each["newest"]) for each in found]
    texts = dict(_within(keys).values_list("pattern", "text"))
    return [_pattern(each, texts.get(each["pattern"], "")) for each in found]


def _pattern(told: Mapping[str, Any], text: str) -> Pattern:
    key = f"{told['pattern'] & 0xFFFF_FFFF_FFFF_FFFF:016x}"
    return Pattern(key, normalised(text), told["gravest"], told["lines"], told["first"], told["last"])


def _within(keys: list[UUID]) -> QuerySet[LogLine]:
    """Return lines by their ids; parts of other days are not looked at."""
    rows = LogLine.objects.filter(id__in=keys)
    return rows.filter(at__gte=_time_of(min(keys)) - SLACK) if keys else rows


def _time_of(key: UUID) -> dt.datetime:
    """Return the moment at which an id was made."""
    try:
        return dt.datetime.fromtimestamp((key.int >> 80) / 1000, dt.UTC)
    except (ValueError, OverflowError, OSError):
        return dt.datetime.max.replace(tzinfo=dt.UTC) - 2 * SLACK


def _key_at(moment: dt.datetime) -> UUID:
    """Return the least id that is made at a moment or later."""
    return UUID(int=max(int(moment.timestamp() * 1000), 0) << 80)


def _level(word: str, value: str) -> Q:
    if value.lower() not in LEVELS:
        words = _("%(value)s is no level; %(hint)s") % {"value": value, "hint": closest(value, [*LEVELS])}
        raise UnknownFilter(words)
    return Q(level__gte=LEVELS[value.lower()])


def _text(word: str, value: str) -> Q:
    """Return what the text contains, in capitals or not; `error|failed` is the one or the other, as grep -E has it."""
    parts = [part.strip() for part in value.split("|")]
    if short := [part for part in parts if len(part) < SHORTEST]:
        words = _("%(word)s takes texts of at least %(least)s characters; %(text)s has fewer.")
        raise UnknownFilter(words % {"word": word, "least": SHORTEST, "text": short[0] or '""'})
    condition = Q()
    for part in parts:
        condition |= Q(text__icontains=part)
    return condition


def _phone(word: str, value: str) -> Q:
    if len(phones.normalised(value)) < FEWEST_DIGITS:
        raise UnknownFilter(_("%(value)s is no phone. Write it with its area code: 5511999999999.") % {"value": value})
    return Q(phones__contains=[phones.digest(value)])


def _since(word: str, value: str) -> Q:
    return _from(moment(word, value))


def _before(word: str, value: str) -> Q:
    ends = moment(word, value)
    return Q(at__lt=ends, id__lt=_key_at(ends + SLACK))


def _hours(word: str, value: str) -> Q:
    try:
        hours = float(value.replace(",", "."))
    except ValueError:
        hours = 0
    if not 0 < hours <= LONGEST_HOURS:
        raise UnknownFilter(_("hours takes a number from 1 to %(most)s.") % {"most": LONGEST_HOURS})
    return _from(database_now() - dt.timedelta(hours=hours))


def _from(moment: dt.datetime) -> Q:
    return Q(at__gte=moment, id__gte=_key_at(moment))


def _pattern_word(word: str, value: str) -> Q:
    try:
        number = int.from_bytes(bytes.fromhex(value), "big", signed=True) if len(value) == 16 else None
    except ValueError:
        number = None
    if number is None:
        raise UnknownFilter(_("%(value)s is no pattern. The list of patterns links to its lines.") % {"value": value})
    return Q(pattern=number)


def _by_id(column: str) -> Callable[[str, str], Q]:
    def condition(word: str, value: str) -> Q:
        try:
            return Q(**{column: UUID(value)})
        except ValueError as error:
            raise UnknownFilter(
                _("%(word)s takes an id such as 0192f0c1-2b3c-7def-8a90-0123456789ab.") % {"word": word}
            ) from error

    return condition


def _exactly(column: str) -> Callable[[str, str], Q]:
    return lambda _word, value: Q(**{column: value})


def _trace(word: str, value: str) -> Q:
    """Take a correlation id, or a whole `traceparent`."""
    return Q(trace=value.lower().removeprefix("00-")[:32])


CONDITIONS: dict[str, Callable[[str, str], Q]] = {
    "q": _text,
    "level": _level,
    "logger": _exactly("logger"),
    "phone": _phone,
    "run": _by_id("job_run"),
    "operation": _by_id("object_id"),
    "event": _by_id("object_id"),
    "object": _by_id("object_id"),
    "trace": _trace,
    "service": _exactly("service"),
    "tenant": _exactly("tenant"),
    "pattern": _pattern_word,
    "hours": _hours,
    "since": _since,
    "before": _before,
}
"""The words of a search; each is read by a function of the word and its value."""
