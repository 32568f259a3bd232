"""Five minutes of watching after a reset, a sample every 30 seconds (S1-52, S1-54).

Nothing is written for it: where the breaker stood at each moment is in its history, and how calls went is in the attempts.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from apps.actions.models import ActionItem, history_of
from apps.integrations.models import CircuitBreaker
from apps.integrations.traffic import Calls, calls_in

EVERY = dt.timedelta(seconds=30)
WATCHED = dt.timedelta(minutes=5)
SHOWN = dt.timedelta(minutes=15)
"""So long after a reset its page still tells how it went."""
MOVES_READ = 200
"""More moves than that since a reset no breaker makes."""


@dataclass(frozen=True)
class Sample:
    """Where a breaker stood at a moment, and the calls since the moment before."""

    at: dt.datetime
    status: str
    calls: Calls


@dataclass(frozen=True)
class Watch:
    """What became of a breaker since a reset."""

    began_at: dt.datetime
    by: str
    samples: Sequence[Sample]
    of: int
    reopened_at: dt.datetime | None
    status: str

    @property
    def over(self) -> bool:
        """Whether all samples are there."""
        return len(self.samples) == self.of


def last_watch(breaker: CircuitBreaker, now: dt.datetime) -> Watch | None:
    """Return what became of a breaker since its last reset, where that is not long ago."""
    moves = list(history_of(breaker.pk).filter(kind=breaker._meta.label_lower)[:MOVES_READ])
    reset = next((move for move in moves if move.verb == "reset"), None)
    if reset is None or now - reset.created_at > SHOWN:
        return None
    return watch_since(breaker, reset, [move for move in moves if move.pk >= reset.pk], now)


def watch_since(breaker: CircuitBreaker, reset: ActionItem, moves: Sequence[ActionItem], now: dt.datetime) -> Watch:
    """Return the samples that are due since a reset, out of the moves since then, newest first."""
    began, count = reset.created_at, int(WATCHED / EVERY)
    due = [began + EVERY * number for number in range(1, count + 1) if began + EVERY * number <= now]
    calls = calls_in(breaker.service_id, [(moment - EVERY, moment) for moment in due]) if due else []
    samples = [Sample(moment, _status_at(moves, moment), made) for moment, made in zip(due, calls, strict=True)]
    return Watch(began, reset.actor_name, samples, count, reopened(moves), breaker.status)


def reopened(moves: Sequence[ActionItem]) -> dt.datetime | None:
    """Return when a breaker first opened again, out of its moves, newest first."""
    opened = [move.created_at for move in moves if move.to_status == CircuitBreaker.Status.OPEN]
    return opened[-1] if opened else None


def moves_since(breaker: CircuitBreaker, moment: dt.datetime) -> list[ActionItem]:
    """Return what happened to a breaker since a moment, newest first."""
    return list(history_of(breaker.pk).filter(created_at__gt=moment)[:MOVES_READ])


def _status_at(moves: Sequence[ActionItem], moment: dt.datetime) -> str:
    return next(move.to_status for move in moves if move.created_at <= moment)
