"""How runs come about: from slots, because somebody asked, and what their end means for those before them."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import islice, takewhile
from operator import or_
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, Q, QuerySet
from django.db.models.functions import Now
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from apps.actions import statements
from apps.actions.actors import Actor
from apps.actions.permissions import require
from apps.actions.running import database_now
from apps.actions.selections import closest
from apps.actions.verbs import Invalid, Moved, NotFound, Refused, kind_of
from apps.deadletters import inbox
from apps.deadletters.models import DeadLetter
from apps.jobs.catalogue import JobKind, kinds, pulling
from apps.jobs.models import Job, JobRun, Tenant

SLOTS_AT_MOST = 1000
"""So many slots of one job become rows in one go; the next tick goes on."""

Status = JobRun.Status
LeftOut = tuple[JobRun, Mapping[str, str]]
"""A run that is not begun, and what its row says of why."""


def make_missing() -> int:
    """Make the rows of the catalogue's jobs that are not there yet; what staff changed stays. Return how many."""
    known = set(Job.objects.values_list("slug", flat=True))
    missing = [kind.row() for kind in kinds().values() if kind.slug not in known]
    return len(Job.objects.bulk_create(missing, ignore_conflicts=True))


def open_slots() -> int:
    """Let every slot that has come become a run, once, whoever else ticks; return how many slots there were."""
    _plan_new()
    return sum(_open(key) for key in _due().values_list("pk", flat=True))


def _due() -> QuerySet[Job]:
    return Job.objects.filter(status=Job.Status.ACTIVE, next_at__lte=Now())


def _scheduled() -> QuerySet[Job]:
    return Job.objects.filter(~Q(cron="") | Q(every_seconds__isnull=False), status=Job.Status.ACTIVE)


def _plan_new() -> None:
    """Work out the next slot of jobs that are new, were changed, or have been resumed."""
    for job in _scheduled().filter(next_at=None):
        slot = next(job.schedule.after(job.planned_from), None)
        Job.objects.filter(pk=job.pk, next_at=None).update(next_at=slot)


def _open(key: UUID) -> int:
    with transaction.atomic():
        # Whoever else has it locked opens the same slots: nothing to wait for.
        job = _due().filter(pk=key).select_for_update(skip_locked=True, no_key=True).first()
        if job is None or job.next_at is None:
            return 0
        now = database_now()
        slots = _slots(job, job.next_at, now)
        wanted, out = _sorted(job, slots, now)
        JobRun.objects.bulk_create([*wanted, *(run for run, _told in out)], ignore_conflicts=True)
        if out:
            why = {run.pk: told for run, told in out}
            statements.move(
                JobRun.leave_out, JobRun.objects.filter(pk__in=why), limit=len(why), each=why, history=False
            )
        Job.objects.filter(pk=key).update(next_at=next(job.schedule.after(slots[-1]), None))
    return len(slots)


def _slots(job: Job, first: dt.datetime, now: dt.datetime) -> list[dt.datetime]:
    come = takewhile(lambda slot: slot <= now, job.schedule.after(first))
    return [first, *islice(come, SLOTS_AT_MOST - 1)]


def _sorted(job: Job, slots: Sequence[dt.datetime], now: dt.datetime) -> tuple[list[JobRun], list[LeftOut]]:
    """Return the runs of slots: those to begin, and those that the job's policies leave out, each with why.

    Those to begin are in time, or of the missed ones the one that is made up.
    """
    early = now - dt.timedelta(seconds=job.grace_seconds)
    missed, wanted = [s for s in slots if s < early], [s for s in slots if s >= early]
    if missed and not wanted and job.misfire == Job.Misfire.LATEST:
        wanted = [missed.pop()]
    late = {"error_type": JobRun.MISSED, "last_error": _("Missed: nothing ticked when it was due.")}
    met = {"error_type": "overlap", "last_error": _("Left out: the run before was still under way.")}
    out: list[LeftOut] = [(JobRun(job=job, slot_at=slot), late) for slot in missed]
    runs = [JobRun(job=job, tenant_id=tenant, slot_at=slot) for slot in wanted for tenant in tenants_of(job)]
    busy = _under_way(job) if job.overlap == Job.Overlap.SKIP else set()
    out += [(run, met) for run in runs if run.tenant_id in busy]
    return [run for run in runs if run.tenant_id not in busy], out


def _under_way(job: Job) -> set[UUID | None]:
    runs = JobRun.objects.filter(job=job, status__in=JobRun.UNDER_WAY)
    return set(runs.values_list("tenant", flat=True))


def tenants_of(job: Job) -> list[UUID | None]:
    """Return for whom a job is run: for each active tenant it is meant for, or once for nobody in particular."""
    kind = kinds().get(job.slug)
    if kind is None:
        return []
    return list(meant_for(kind).values_list("pk", flat=True)) if kind.per_tenant else [None]


def meant_for(kind: JobKind) -> QuerySet[Tenant]:
    """Return the active tenants that a job is run for."""
    active = Tenant.objects.filter(status=Tenant.Status.ACTIVE)
    return active.filter(pk__in=import_string(kind.tenants)()) if kind.tenants else active


# What people ask for


def run_now(slug: str, actor: Actor, *, tenant: str = "", given: Mapping[str, Any] | None = None) -> list[JobRun]:
    """Queue runs of a job, off schedule: for one tenant, or for each that it is meant for.

    Raises `NotFound` for a job or tenant that is not there, `NotPermitted`, and `Refused` where either is paused.
    """
    require(actor, Job.run)
    job = Job.objects.filter(slug=slug).first()
    if job is None:
        known = list(Job.objects.values_list("slug", flat=True))
        raise NotFound(_("There is no job %(slug)s; %(hint)s") % {"slug": slug, "hint": closest(slug, known)})
    if job.status != Job.Status.ACTIVE:
        raise Refused(_("%(job)s is paused: %(reason)s") % {"job": job, "reason": job.paused_reason})
    return ask(job, _wanted(job, tenant), actor.name, given or {})


def asked_for(moved: Moved) -> None:
    """Queue runs of the jobs that somebody wants run now."""
    for job in moved.rows.order_by("pk"):
        ask(job, _wanted(job, moved.given.get("tenant", "")), moved.actor_name, {})


def synced(moved: Moved) -> None:
    """Queue a run of every job that reads for tenants, for those that somebody wants synced now (S3-35, S3-36)."""
    read = {kind.slug: kind for kind in _reading_for_tenants()}
    for job in Job.objects.filter(slug__in=read):
        ask(job, moved.rows.filter(_read_by(read[job.slug])).values_list("pk", flat=True), moved.actor_name, {})


def unread() -> Q:
    """Return the condition of the tenants for which `synced` would queue nothing."""
    return ~reduce(or_, map(_read_by, _reading_for_tenants()), Q(pk__in=[]))


def _read_by(kind: JobKind) -> Q:
    """Return the condition of the tenants that a job reads for, while it is active."""
    active = Exists(Job.objects.filter(slug=kind.slug, status=Job.Status.ACTIVE))
    return Q(active, pk__in=meant_for(kind).values("pk"))


def _reading_for_tenants() -> list[JobKind]:
    return [kind for slug in pulling() if (kind := kinds()[slug]).per_tenant]


def ask(job: Job, tenants: Iterable[UUID | None], who: str, given: Mapping[str, Any]) -> list[JobRun]:
    """Queue a run of a job for each of the tenants, off schedule, in the name of whoever asked."""
    runs = [JobRun(job=job, tenant_id=tenant, asked_by=who[:150], given=dict(given)) for tenant in tenants]
    return JobRun.objects.bulk_create(runs)


def _wanted(job: Job, slug: str) -> list[UUID | None]:
    kind = kinds().get(job.slug)
    if kind is None:
        raise Refused(_("%(job)s is no longer part of this version: nothing would run.") % {"job": job})
    if not slug:
        return tenants_of(job)
    if not kind.per_tenant:
        raise Invalid(_("%(job)s is not run for tenants: leave the tenant out.") % {"job": job})
    return [tenant_called(slug).pk]


def tenant_called(slug: str) -> Tenant:
    """Return an active tenant by its short name; raise `Invalid` where there is none, `Refused` where it is paused."""
    tenant = Tenant.objects.filter(slug=slug).first()
    if tenant is None:
        known = list(Tenant.objects.values_list("slug", flat=True))
        raise Invalid(_("There is no tenant %(slug)s; %(hint)s") % {"slug": slug, "hint": closest(slug, known)})
    if tenant.status != Tenant.Status.ACTIVE:
        raise Refused(_("%(tenant)s is paused: %(reason)s") % {"tenant": tenant, "reason": tenant.paused_reason})
    return tenant


def asked_again(moved: Moved) -> None:
    """Queue a new run for each failed one, as it was asked for, and let their dead letters follow."""
    runs = [
        JobRun(
            job_id=run.job_id, tenant_id=run.tenant_id, given=run.given, rerun_of=run, asked_by=moved.actor_name[:150]
        )
        for run in moved.rows.order_by("pk")
    ]
    JobRun.objects.bulk_create(runs)
    inbox.retried(moved)


# What the end of a run means


def succeeded(moved: Moved) -> None:
    """Supersede what failed before for the same job and tenant, and was to do the same."""
    for run in moved.rows.order_by("pk"):
        before = _alike(run).filter(status=Status.FAILED, archived_at=None, pk__lt=run.pk)
        statements.move(JobRun.supersede, before, limit=10_000, actor_name=moved.actor_name)


def failed(moved: Moved) -> None:
    """Open one dead letter for each streak of failures: what fails again repeats the letter of the first."""
    let_go(moved)
    known = {run.pk: first for run in moved.rows.order_by("pk") if (first := _first_of_streak(run))}
    inbox.opened(moved, instead=known)


def let_go(moved: Moved) -> None:
    """Let the runs that these were reruns of be run again."""
    first = moved.rows.filter(rerun_of__isnull=False).values_list("rerun_of", flat=True)
    JobRun.objects.filter(pk__in=list(first)).update(rerun_asked_at=None)


def _alike(run: JobRun) -> QuerySet[JobRun]:
    return JobRun.objects.filter(job=run.job_id, tenant=run.tenant_id, given=run.given)


def _first_of_streak(run: JobRun) -> UUID | None:
    earlier = _alike(run).filter(status=Status.FAILED, archived_at=None, pk__lt=run.pk).values_list("pk", flat=True)
    letters = DeadLetter.objects.filter(source_kind=kind_of(JobRun), status__in=DeadLetter.OPEN)
    return (
        letters.filter(source_id__in=list(earlier[:1000]))
        .order_by("source_id")
        .values_list("source_id", flat=True)
        .first()
    )
