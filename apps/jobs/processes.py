"""How our processes stand: do they live, what do they do now, and do they hold the secrets that the newest one holds?"""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from apps.jobs.fingerprints import differing
from apps.jobs.models import Process
from apps.jobs.models.process import live
from apps.jobs.working import Doing, at_work


@dataclass(frozen=True, slots=True)
class Told:
    """How one process stands."""

    silent: bool
    doing: list[Doing]
    older: list[str]
    """The secrets that it holds in another version than the process that was started last."""


def told(rows: Collection[Process], now: dt.datetime) -> list[Told]:
    """Return how each of the processes stands, in a few queries, however many they are."""
    hands = at_work([holder for row in rows for holder in row.holders])
    newest = newest_secrets()
    return [
        Told(
            row.silent_at(now),
            [doing for holder in row.holders for doing in hands.get(holder, [])],
            differing(row.secrets, newest) if newest else [],
        )
        for row in rows
    ]


def newest_secrets() -> Mapping[str, str]:
    """Return the fingerprints of the process that was started last: it has read its environment last."""
    newest = live().order_by("-since", "-pk").first()
    return newest.secrets if newest else {}
