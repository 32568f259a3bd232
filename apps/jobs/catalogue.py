"""What the tick does, in order: each app's own sweep, by its dotted path (they stand above this app)."""

from dataclasses import dataclass
from typing import Literal

SWEEPS = (
    "apps.operations.tasks.sweep",
    "apps.integrations.tasks.sweep",
    "apps.deadletters.tasks.sweep",
    "apps.actions.tasks.sweep",
    "apps.jobs.tasks.resume_lapsed",
    "apps.jobs.partitions.keep_ahead",
)

TICK_SECONDS = 5
"""How often beat ticks. What no message speaks of waits so long at most."""

BACKLOGS = ("apps.operations.backlog.backlogs",)
"""Who keeps work in queues and for services: each says, by "queue" or "service", how much waits and since when."""

CALLS = ("apps.operations.traffic.calls",)
"""Who calls services: each says how many calls went to one in some spans of time, and how many of them failed."""

RECALLS = ("apps.operations.restoring.recall",)
"""Who sends work out: each marks what was waiting in a backup that was restored, and returns how much that is."""


@dataclass(frozen=True, slots=True)
class Parted:
    """A table whose rows are kept in parts by time, one a day or a week of UTC (apps/jobs/partitions.py)."""

    table: str
    column: str
    """The time by which it is parted; part of its primary key."""
    period: Literal["day", "week"]
    ahead: int
    """So many periods after the current one have their part already."""


PARTED: tuple[Parted, ...] = ()
"""The tables that age by dropping a part. `partitions.parting` makes one in a migration."""
