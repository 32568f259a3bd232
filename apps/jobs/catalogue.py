"""What the tick does, in order: each app's own sweep, by its dotted path (they stand above this app); and every job."""

from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from django.db.models import Q
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.actions.verbs import Words
from apps.jobs.models import Job

SWEEPS = (
    "apps.operations.tasks.sweep",
    "apps.integrations.tasks.sweep",
    "apps.deadletters.tasks.sweep",
    "apps.actions.tasks.sweep",
    "apps.jobs.tasks.sweep",
    "apps.jobs.beating.forget_silent",
    "apps.jobs.partitions.keep_ahead",
)

TICK_SECONDS = 5
"""How often beat ticks. What no message speaks of waits so long at most."""

BACKLOGS = ("apps.operations.backlog.backlogs",)
"""Who keeps work in queues and for services: each says, by "queue" or "service", how much waits and since when."""

LANES = "apps.operations.lanes.lanes"
"""Says how queues go: what came and went of late, how many workers are at each, and its last error."""

BOTTLENECKS = "apps.operations.bottlenecks.bottlenecks"
"""Says of a queue that is slow although workers are at it where its time goes, in sentences."""

AT_WORK = ("apps.integrations.at_work.at_work", "apps.operations.at_work.at_work")
"""Whose rows workers claim: each says what is in the hands of some of them (action runs and job runs apart)."""

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


PARTED: tuple[Parted, ...] = (
    Parted("jobs_logline", "at", "day", ahead=7),
    Parted("operations_attempt", "at", "day", ahead=7),
)
"""The tables that age by dropping a part. `partitions.parting` makes one in a migration."""


@dataclass(frozen=True)
class JobKind:
    """A job as the code knows it: what it runs, and the schedule and policies that its row begins with.

    `handler` is the dotted path of a function `(work: Work) -> None` (apps/jobs/execution.py). `tenants` is the dotted
    path of a function that returns the keys of the tenants it is meant for; left empty, all of them. `progress` names
    the count that says how far a run is.
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


PULL = "apps.syncs.pulling.pull"
"""What every job runs that reads from another system."""

JOBS: tuple[JobKind, ...] = (
    JobKind(
        "cleanup",
        _("Purge what is older than its retention policy"),
        "apps.jobs.purging.cleanup",
        cron="20 3 * * *",
        timeout_seconds=6 * 3600,
        overlap=Job.Overlap.WAIT,
        # S1-91
    ),
    JobKind(
        "export-configuration",
        _("Keep endpoints, mappings and policies as a dated file"),
        "opsconsole.maintenance.export_configuration",
        cron="0 6 * * MON",
        progress="files",
        # tar -czf /backup/etl-config-$(date +%Y%m%d).tar.gz /etc/etl/
    ),
    JobKind(
        "performance-report",
        _("Report how the week went"),
        "opsconsole.maintenance.report_performance",
        cron="0 6 * * MON",
        progress="services",
        # psql -f /opt/etl/scripts/weekly_performance_report.sql
    ),
    JobKind(
        "reindex",
        _("Build indexes anew, without holding anybody up"),
        "opsconsole.maintenance.reindex",
        cron="0 4 * * SUN#1",
        timeout_seconds=8 * 3600,
        # psql -c "REINDEX DATABASE etl_production;"
    ),
    JobKind(
        "analyze",
        _("Bring the planner's statistics up to date"),
        "opsconsole.maintenance.analyze",
        cron="0 5 * * SUN#1",
        # psql -c "ANALYZE;"
    ),
    JobKind(
        "deep-clean",
        _("Remove what was left lying about"),
        "opsconsole.maintenance.deep_clean",
        cron="30 5 * * SUN#1",
        progress="files",
        # psql -f /opt/etl/scripts/deep_cleanup.sql
    ),
    JobKind(
        "review-thresholds",
        _("Count failures by kind beside the limits"),
        "opsconsole.maintenance.review_thresholds",
        cron="45 5 * * SUN#1",
        progress="kinds",
        # grep ALERT /var/log/etl/etl-service.log | awk '{print $4}' | sort | uniq -c
    ),
    JobKind(
        "erp-sync",
        _("Read customers, products and orders out of each tenant's ERP"),
        PULL,
        # Once a night, as runbook 3 has it; each run is an increment, so staff may let it come as often as they like.
        cron="0 3 * * *",
        per_tenant=True,
        tenants="apps.syncs.catalogue.tenants_of_erp",
        timeout_seconds=4 * 3600,
        progress="read",
    ),
    JobKind(
        "sync-crm-operacao",
        _("Pass on what changed in the CRM to operations"),
        PULL,
        cron="5 * * * *",
        progress="read",
        # php artisan schedule:run --job=sync-crm-operacao
    ),
    JobKind(
        "sync-operacao-financeiro",
        _("Pass on what changed in operations to finance"),
        PULL,
        cron="0 23 * * *",
        progress="read",
    ),
    JobKind(
        "sync-crm-financeiro",
        _("Pass on what changed in the CRM to finance"),
        PULL,
        cron="0 6,18 * * *",
        progress="read",
    ),
    JobKind(
        "sync-cuidadores-crm",
        _("Pass on what changed among the carers to the CRM"),
        PULL,
        cron="15 */4 * * *",
        progress="read",
    ),
)
"""Every job there is. `migrate` makes the missing rows and never changes those that are there."""


@cache
def kinds() -> dict[str, JobKind]:
    """Return the jobs that this version knows, by slug."""
    return {kind.slug: kind for kind in JOBS}


def pulling() -> list[str]:
    """Return the jobs that read from other systems: of what changed there, endpoints name them as the source."""
    return sorted(slug for slug, kind in kinds().items() if kind.handler == PULL)


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows of a table that leave once they are old: which of them may, and what tells their age.

    Whatever stands here, a row stays while an open dead letter speaks of it, an open action run holds it, or a row that
    may not leave itself points to it (apps/jobs/retention.py).
    """

    slug: str
    what: Words
    model: str
    """Its label, such as `operations.PendingOperation`: the model stands above this app."""
    aged: str
    """The column whose time is its age: when nothing was left to do with it."""
    days: int
    """As the runbook has it. Staff change the policy's row; `migrate` never does."""
    source: str
    """The line it comes from."""
    goes: Q = field(default_factory=Q)
    """What may go, beside its age."""
    stays: Words = ""
    """What of it never goes, in a sentence for people."""
    spares: str = ""
    """The dotted path of a function `(rows) -> rows` that leaves out what only its app knows to be needed."""
    by_key: bool = True
    """Walked by its key, which is the order of time; else by the index of `aged`."""
    archives: bool = False
    environment: str = ""
    """The setting that overrides the days where it is set."""
    parted: bool = False
    """Kept in parts by time (`PARTED`): a part that is old as a whole is dropped."""
    needs_part: str = ""
    """The dotted path of a function `(starts_at, ends_at) -> bool`: whether a part holds what is still needed."""


_ENDED = Q(status__in=["finished", "cancelled"])
_FAILED_STAY = _("Failed ones stay until they are settled or archived.")

KEPT = (
    Kept("log-lines", _("Lines of the log"), "jobs.LogLine", "at", 30, "S4-77", parted=True),
    Kept(
        "attempts",
        _("Attempts"),
        "operations.Attempt",
        "at",
        30,
        "S4-77",
        stays=_("Attempts of operations that are not settled stay."),
        spares="apps.operations.traffic.settled",
        parted=True,
        needs_part="apps.operations.traffic.needs_attempts",
    ),
    Kept(
        "processed-events",
        _("Processed events"),
        "integrations.IntegrationEvent",
        "processed_at",
        30,
        "S1-92",
        Q(status="processed", archived_at__isnull=True),
        _FAILED_STAY,
    ),
    Kept(
        "archived-events",
        _("Archived events"),
        "integrations.IntegrationEvent",
        "archived_at",
        90,
        "S1-95",
        Q(status="failed", archived_at__isnull=False),
    ),
    Kept(
        "completed-operations",
        _("Completed operations"),
        "operations.PendingOperation",
        "completed_at",
        90,
        "S4-78",
        Q(status="completed", archived_at__isnull=True, confirm_asked_at__isnull=True),
        _FAILED_STAY,
        archives=True,
    ),
    Kept(
        "archived-operations",
        _("Archived operations"),
        "operations.PendingOperation",
        "archived_at",
        90,
        "S1-95",
        Q(status="failed", archived_at__isnull=False),
    ),
    Kept(
        "archived-dead-letters",
        _("Archived dead letters"),
        "deadletters.DeadLetter",
        "archived_at",
        90,
        "S1-95",
        Q(status="archived"),
    ),
    Kept(
        "resolved-dead-letters",
        _("Resolved dead letters"),
        "deadletters.DeadLetter",
        "resolved_at",
        90,
        "S1-95",
        Q(status="resolved"),
        _("Unresolved ones stay."),
    ),
    Kept(
        "taken-in-records",
        _("Records that were rejected and taken in later"),
        "syncs.RejectedRecord",
        "updated_at",
        90,
        "S1-91",
        Q(status="applied"),
        _("Rejected ones stay until they are settled or archived."),
    ),
    Kept(
        "archived-records",
        _("Archived rejected records"),
        "syncs.RejectedRecord",
        "archived_at",
        90,
        "S1-95",
        Q(status="failed", archived_at__isnull=False),
    ),
    Kept(
        "history",
        _("What happened to rows"),
        "actions.ActionItem",
        "created_at",
        730,
        "S1-91",
        Q(run__isnull=True) | Q(run__status__in=["finished", "cancelled"]),
        _("What belongs to an action run that is under way stays."),
        archives=True,
    ),
    Kept(
        "action-runs",
        _("Action runs"),
        "actions.ActionRun",
        "finished_at",
        730,
        "S1-91",
        _ENDED,
        _("Runs that are under way stay."),
        archives=True,
    ),
    Kept(
        "job-runs",
        _("Job runs"),
        "jobs.JobRun",
        "updated_at",
        90,
        "S3-39",
        Q(status__in=["succeeded", "superseded"]) | Q(status="failed", archived_at__isnull=False),
        _("Failed ones stay until they are settled or archived, and so does the last success of each job and tenant."),
        spares="apps.jobs.retention.but_the_last_success",
        environment="RETENTION_DAYS_JOBRUN",
    ),
    Kept(
        "edit-rules",
        _("Rules of edits"),
        "operations.EditRule",
        "created_at",
        730,
        "S4-84",
        spares="apps.operations.editing.unused_rules",
        by_key=False,
    ),
    Kept(
        "refused-access",
        _("Refused access"),
        "integrations.AccessRefusal",
        "last_at",
        90,
        "S1-93",
        by_key=False,
    ),
    Kept(
        "source-refusals",
        _("Refusals at webhook doors"),
        "integrations.SourceRefusal",
        "day",
        30,
        "S1-93",
        by_key=False,
    ),
    Kept("key-uses", _("Uses of API keys"), "integrations.KeyUse", "at", 90, "S1-93", by_key=False),
    Kept(
        "idempotency-records",
        _("Answers kept for repeated requests"),
        "integrations.IdempotencyRecord",
        "created_at",
        7,
        "S4-84",
        Q(status_code__isnull=False),
        by_key=False,
    ),
    Kept("sessions", _("Expired sessions"), "sessions.Session", "expire_date", 1, "S4-84", by_key=False),
    Kept("table-sizes", _("Daily sizes of tables"), "jobs.TableSize", "day", 730, "S4-84", by_key=False),
)
"""What leaves, in the order in which a purge goes through it: what hangs on other rows before what those hang on."""
