"""How runs went: the last of each job, those of a day; and what ought to run and does not."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, DurationField, ExpressionWrapper, F, Min, OuterRef, Q, Subquery
from django.db.models.functions import Now

from apps.jobs.catalogue import TICK_SECONDS, kinds
from apps.jobs.models import MISSED, Job, JobRun, Tenant

COUNTED = 1000
DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Lateness:
    """Slots that nothing has opened, runs that nobody has begun, and since when; and the slots missed in the last day."""

    slots: int
    runs: int
    since: dt.datetime | None
    missed: int


def lateness() -> Lateness:
    """Return what is late: a slot after three ticks, a run by its job's own measure. Counts end at a thousand."""
    unopened = Job.objects.filter(
        status=Job.Status.ACTIVE, next_at__lt=Now() - dt.timedelta(seconds=MISSED * TICK_SECONDS)
    )
    grace = ExpressionWrapper(F("job__grace_seconds") * dt.timedelta(seconds=1), DurationField())
    queued = JobRun.objects.filter(status=JobRun.Status.QUEUED, job__status=Job.Status.ACTIVE)
    late = queued.filter(Q(tenant=None) | Q(tenant__status=Tenant.Status.ACTIVE), due_at__lt=Now() - grace)
    slots = unopened.aggregate(count=Count("pk"), since=Min("next_at"))
    runs = late.order_by("due_at")[:COUNTED].aggregate(count=Count("pk"), since=Min("due_at"))
    missed = JobRun.objects.filter(error_type=JobRun.MISSED, slot_at__gt=Now() - DAY)
    since = min((told["since"] for told in (slots, runs) if told["since"]), default=None)
    return Lateness(slots["count"], runs["count"], since, missed[:COUNTED].count())


def newest_runs(jobs: Collection[UUID]) -> dict[UUID, JobRun]:
    """Return the newest run of each job: one look into the index for each."""
    newest = JobRun.objects.filter(job=OuterRef("pk")).order_by("-id").values("pk")[:1]
    keys = Job.objects.filter(pk__in=jobs).values_list(Subquery(newest), flat=True)
    return {run.job_id: run for run in JobRun.objects.filter(pk__in=[key for key in keys if key])}


def sync_jobs() -> list[Job]:
    """Return the jobs that are syncs, by the name that runbooks give them (S1-112): `sync-crm-operacao`, `erp-sync`."""
    slugs = [slug for slug in kinds() if "sync" in slug.split("-")]
    return list(Job.objects.filter(slug__in=slugs).order_by("slug"))


@dataclass(frozen=True)
class Day:
    """Runs of some jobs: how many wait and are under way now, and how many ended well and badly since a moment."""

    queued: int
    running: int
    completed: int
    failed: int


def day_of(jobs: Collection[Job], since: dt.datetime) -> Day:
    """Count the runs of some jobs: three queries, each out of an index of its own (in one they would scan the table)."""
    status, runs = JobRun.Status, JobRun.objects.filter(job__in=[job.pk for job in jobs])
    ended = runs.filter(created_at__gte=since - DAY).aggregate(
        completed=Count("pk", filter=Q(status=status.SUCCEEDED, finished_at__gte=since)),
        failed=Count("pk", filter=Q(status=status.FAILED, archived_at=None, failed_at__gte=since)),
    )
    return Day(runs.filter(status=status.QUEUED).count(), runs.filter(status=status.RUNNING).count(), **ended)


def failures_since(jobs: Collection[Job], since: dt.datetime) -> dict[UUID, int]:
    """Return how often each job failed since a moment, made up for or not."""
    runs = JobRun.objects.filter(job__in=[job.pk for job in jobs], created_at__gte=since - DAY, failed_at__gte=since)
    return dict(runs.order_by().values_list("job").annotate(Count("pk")))


def outcomes_since(since: dt.datetime) -> dict[tuple[str, str], int]:
    """Return how many runs made since a moment stand in which state, by job."""
    runs = JobRun.objects.filter(created_at__gte=since).order_by()
    found = runs.values_list("job__slug", "status").annotate(count=Count("pk"))
    return {(job, status): count for job, status, count in found}
