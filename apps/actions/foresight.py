"""What a noun says of the rows that a verb would move, before it is run: the facts that a careful person asks for."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet
from django.utils.module_loading import import_string

from apps.actions.verbs import Acted, Move


@dataclass(frozen=True)
class Foresight:
    """Sentences: which rows they are, what the verb brings about, what is done already, what stands in the way, how long."""

    about: list[str] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    in_the_way: list[str] = field(default_factory=list)
    duration: list[str] = field(default_factory=list)


def foresight(moves: Iterable[tuple[Move, QuerySet[Any]]], rate: float | None) -> Foresight:
    """Ask each noun what it foresees of rows that its move may move; nouns that declare nothing foresee nothing.

    `rate` is how many rows a second the person means to release; None: all at once.
    """
    told = [import_string(move.model.foresees)(move, rows, rate) for move, rows in moves if move.model.foresees]
    return Foresight(*([sentence for each in told for sentence in getattr(each, word)] for word in WORDS))


WORDS = tuple(Foresight.__dataclass_fields__)


def leaves_at(row: Acted) -> dt.datetime | None:
    """Return when an archived row will be deleted; None where nothing says that it will."""
    found: dt.datetime | None = import_string(row.leaves)(row) if row.leaves else None
    return found
