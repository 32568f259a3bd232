"""What the API shows of queues, tenants and processes."""

import datetime as dt
from typing import Any
from uuid import UUID

from ninja import Schema

from apps.jobs.models import JobRun, RetentionPolicy
from apps.jobs.retention import days_of, known, told_by_environment


class PausableRow(Schema):
    """Something that people can hold, and why it is held."""

    id: UUID
    slug: str
    name: str
    status: str
    paused_at: dt.datetime | None
    paused_reason: str
    paused_until: dt.datetime | None


class JobRow(PausableRow):
    """Work that comes round, or is asked for."""

    cron: str
    every_seconds: int | None
    zone: str
    overlap: str
    misfire: str
    timeout_seconds: int
    next_at: dt.datetime | None


class JobRunRow(Schema):
    """One run of a job (S3-29)."""

    id: UUID
    job: str
    tenant: str
    status: str
    slot_at: dt.datetime | None
    rerun_of: UUID | None
    asked_by: str
    given: dict[str, Any]
    counts: dict[str, int]
    expected: int | None
    failure_class: str
    error_type: str
    error: str
    due_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    duration_ms: int | None
    archived_at: dt.datetime | None

    @staticmethod
    def resolve_job(run: JobRun) -> str:
        """Name the job."""
        return run.job.slug

    @staticmethod
    def resolve_tenant(run: JobRun) -> str:
        """Name the tenant; empty where it runs for none."""
        return run.tenant.slug if run.tenant else ""

    @staticmethod
    def resolve_rerun_of(run: JobRun) -> UUID | None:
        """Name the run that it repeats."""
        return run.rerun_of_id

    @staticmethod
    def resolve_error(run: JobRun) -> str:
        """Tell why it failed."""
        return run.last_error

    @staticmethod
    def resolve_duration_ms(run: JobRun) -> int | None:
        """Return how long it took."""
        return round(run.duration.total_seconds() * 1000) if run.duration is not None else None


class QueueRow(PausableRow):
    """A lane of work."""

    concurrency: int
    most_waiting: int
    longest_wait_seconds: int


class TenantRow(PausableRow):
    """A company whose data is carried."""


class RetentionPolicyRow(Schema):
    """How long the rows of a table are kept, and what the last purge took. `days` are those in force."""

    id: UUID
    slug: str
    what: str
    status: str
    days: int
    set_by_environment: bool
    source: str
    archives: bool
    held_at: dt.datetime | None
    held_reason: str
    held_until: dt.datetime | None
    ran_at: dt.datetime | None
    deleted: int
    archived: int
    last_error: str
    run_id: UUID | None

    @staticmethod
    def resolve_what(policy: RetentionPolicy) -> str:
        """Which rows."""
        return str(known(policy).what)

    @staticmethod
    def resolve_days(policy: RetentionPolicy) -> int:
        """For how many days they are kept."""
        return days_of(policy)

    @staticmethod
    def resolve_set_by_environment(policy: RetentionPolicy) -> bool:
        """Whether an environment name overrides what staff set."""
        return told_by_environment(policy.slug) is not None

    @staticmethod
    def resolve_source(policy: RetentionPolicy) -> str:
        """The runbook's line."""
        return known(policy).source


class ProcessRow(Schema):
    """A process of the console: does it live, and what does it do now?"""

    id: UUID
    name: str
    kind: str
    node: str
    queues: list[str]
    concurrency: int | None
    version: str
    restarted_by: str
    since: dt.datetime
    beat_at: dt.datetime
    silent: bool
    doing: list[str]
    older_secrets: list[str]
    """Secrets that it holds in another version than the process that was started last, by the name of their variable."""


class ProcessPage(Schema):
    """The processes."""

    items: list[ProcessRow]
