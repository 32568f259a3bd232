"""How queues go: what came in and went out of late, how many workers are at each, and its last error."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from django.utils.module_loading import import_string

from apps.jobs.backlog import backlogs
from apps.jobs.catalogue import LANES
from apps.jobs.models import Queue

MINUTES = 60
"""So many minutes of a queue's past are drawn."""


@dataclass(frozen=True)
class Lane:
    """How one queue goes, as the app that keeps work in it tells."""

    came: float = 0
    """Rows a minute that came to wait, over the last five minutes."""
    went: float = 0
    """Rows a minute that left: done or given up."""
    by_minute: Sequence[int] = ()
    """By how much its rows became more, or fewer, in each of the last minutes; the oldest first."""
    at_work: int = 0
    """So many workers take from it now."""
    error: str = ""
    """The last error of a row that has not got through since."""
    error_at: dt.datetime | None = None


class Telling(Protocol):
    """What the app that keeps work in queues offers."""

    def __call__(self, queues: Collection[UUID], now: dt.datetime) -> Mapping[UUID, Lane]:
        """Tell how these queues go, in a number of queries that does not grow with the rows."""


@dataclass(frozen=True)
class Standing:
    """How a queue stands now."""

    queue: Queue
    waiting: int
    since: dt.datetime | None
    """When the oldest that waits fell due."""
    lane: Lane
    now: dt.datetime

    @property
    def oldest_seconds(self) -> float:
        """For how long the oldest has been due; 0 where nothing is."""
        return max((self.now - self.since).total_seconds(), 0) if self.since else 0

    @property
    def grows(self) -> bool:
        """Whether it is larger, or its oldest row older, than its limits allow (S1-72): both are strict."""
        return self.waiting > self.queue.most_waiting or self.oldest_seconds > self.queue.longest_wait_seconds

    @property
    def drained_in_seconds(self) -> float | None:
        """In how long it is empty at the present rate; None where it does not become smaller."""
        faster = self.lane.went - self.lane.came
        return 60 * self.waiting / faster if faster > 0 else None

    @property
    def past(self) -> list[int]:
        """How many waited at the end of each of the last minutes, reckoned back from now."""
        found = [self.waiting]
        for change in reversed(self.lane.by_minute[1:]):
            found.append(max(found[-1] - change, 0))
        return found[::-1]


def standings(queues: Collection[Queue], now: dt.datetime) -> dict[UUID, Standing]:
    """Return how each of the queues stands."""
    waiting, keys = backlogs("queue"), [queue.pk for queue in queues]
    tell: Telling = import_string(LANES)
    lanes = tell(keys, now)
    return {
        queue.pk: Standing(queue, *waiting.get(queue.pk, (0, None)), lanes.get(queue.pk, Lane()), now)
        for queue in queues
    }
