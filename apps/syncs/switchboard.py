"""Tenant by job: the last success, how far behind, the failures of a day. So many queries, however many tenants there are."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Count, Q
from django.db.models.functions import Now

from apps.jobs.catalogue import pulling
from apps.jobs.models import Job, JobRun, Tenant
from apps.syncs.catalogue import per_tenant
from apps.syncs.models import Sync, SyncCursor

PAGE = 50
DAY = dt.timedelta(days=1)
Place = tuple[UUID, UUID | None]
"""A job and a tenant."""


@dataclass
class Cell:
    """How one job stands for one tenant; without a sync it reads nothing for it."""

    job: Job
    sync: Sync | None = None
    passed_at: dt.datetime | None = None
    """When it was last read whole: of its kinds of records the one longest ago."""
    whole: bool = False
    """Whether every kind of record was read whole once."""
    last_error: str = ""
    failures: int = 0
    under_way: bool = False


@dataclass
class Line:
    """A tenant, or our own systems, with a cell for each job."""

    tenant: Tenant | None
    cells: list[Cell] = field(default_factory=list)


@dataclass
class Board:
    """One page of tenants, the jobs that read for them, and those between our own systems."""

    jobs: list[Job]
    lines: list[Line]
    systems: list[Cell]
    next: str = ""
    """The short name behind which the next page begins."""


def board(after: str = "") -> Board:
    """Return a page of the switchboard."""
    jobs = list(Job.objects.filter(slug__in=pulling()).order_by("slug"))
    own = [job for job in jobs if per_tenant(job)]
    tenants = list(Tenant.objects.filter(slug__gt=after).order_by("slug")[: PAGE + 1])
    shown = tenants[:PAGE]
    cells = _cells(jobs, [tenant.pk for tenant in shown])
    return Board(
        jobs=own,
        lines=[Line(tenant, [cells.get((job.pk, tenant.pk), Cell(job)) for job in own]) for tenant in shown],
        systems=[cells.get((job.pk, None), Cell(job)) for job in jobs if not per_tenant(job)],
        next=shown[-1].slug if len(tenants) > PAGE else "",
    )


def _cells(jobs: Iterable[Job], tenants: list[UUID]) -> dict[Place, Cell]:
    theirs = Q(tenant__in=tenants) | Q(tenant=None)
    syncs = list(Sync.objects.filter(theirs, job__in=jobs).select_related("job", "tenant", "service"))
    cursors = _cursors(syncs)
    failures, under_way = _failures(jobs, theirs), _under_way(jobs, theirs)
    return {
        (sync.job_id, sync.tenant_id): _cell(
            sync,
            cursors.get(sync.pk, []),
            failures[sync.job_id, sync.tenant_id],
            (sync.job_id, sync.tenant_id) in under_way,
        )
        for sync in syncs
    }


def _cell(sync: Sync, cursors: list[SyncCursor], failures: int, under_way: bool) -> Cell:
    passed = [cursor.passed_at for cursor in cursors if cursor.passed_at]
    whole = bool(cursors) and len(passed) == len(cursors)
    error = next((cursor.last_error for cursor in cursors if cursor.last_error), "")
    return Cell(sync.job, sync, min(passed, default=None), whole, error, failures, under_way)


def _cursors(syncs: Iterable[Sync]) -> dict[UUID, list[SyncCursor]]:
    found: dict[UUID, list[SyncCursor]] = {}
    for cursor in SyncCursor.objects.filter(sync__in=list(syncs)).order_by("entity"):
        found.setdefault(cursor.sync_id, []).append(cursor)
    return found


def _failures(jobs: Iterable[Job], theirs: Q) -> Counter[Place]:
    lately = JobRun.objects.filter(theirs, job__in=jobs, status=JobRun.Status.FAILED, created_at__gte=Now() - DAY)
    told = lately.filter(archived_at=None).order_by().values_list("job", "tenant").annotate(Count("pk"))
    return Counter({(job, tenant): count for job, tenant, count in told})


def _under_way(jobs: Iterable[Job], theirs: Q) -> set[Place]:
    runs = JobRun.objects.filter(theirs, job__in=jobs, status__in=JobRun.UNDER_WAY)
    return set(runs.order_by().values_list("job", "tenant").distinct())
