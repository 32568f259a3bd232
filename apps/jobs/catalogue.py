"""What the tick does, in order: each app's own sweep, by its dotted path (they stand above this app); and every job."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.jobs.models import Job

SWEEPS = (
    "apps.operations.tasks.sweep",
    "apps.integrations.tasks.sweep",
    "apps.deadletters.tasks.sweep",
    "apps.actions.tasks.sweep",
    "apps.jobs.tasks.sweep",
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


@dataclass(frozen=True)
class JobKind:
    """A job as the code knows it: what it runs, and the schedule and policies that its row begins with.

    `handler` is the dotted path of a function `(work: Work) -> None` (apps/jobs/execution.py). `tenants` is the dotted
    path of a function that returns the keys of the tenants it is meant for; left empty, all of them. `progress` names
    the count that says how far a run is. `twin` is the line of a runbook that it stands for.
    """

    slug: str
    name: str | Promise
    handler: str
    cron: str = ""
    every_seconds: int | None = None
    per_tenant: bool = False
    tenants: str = ""
    timeout_seconds: int = 3600
    grace_seconds: int = 300
    overlap: str = Job.Overlap.SKIP
    misfire: str = Job.Misfire.LATEST
    progress: str = "done"
    twin: str = ""

    def row(self) -> Job:
        """Return the row that `migrate` makes of it, not yet saved."""
        return Job(
            slug=self.slug,
            name=str(self.name),
            cron=self.cron,
            every_seconds=self.every_seconds,
            timeout_seconds=self.timeout_seconds,
            grace_seconds=self.grace_seconds,
            overlap=self.overlap,
            misfire=self.misfire,
        )


JOBS: tuple[JobKind, ...] = (
    JobKind(
        "clear-sessions", _("Forget sign-ins that are over"), "apps.jobs.housekeeping.clear_sessions", cron="20 4 * * *"
    ),
)
"""Every job there is. `migrate` makes the missing rows and never changes those that are there."""


@cache
def kinds() -> dict[str, JobKind]:
    """Return the jobs that this version knows, by slug."""
    return {kind.slug: kind for kind in JOBS}
