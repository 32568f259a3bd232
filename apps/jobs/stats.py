"""What ought to run and does not."""

import datetime as dt
from dataclasses import dataclass

from django.db.models import Count, DurationField, ExpressionWrapper, F, Min, Q
from django.db.models.functions import Now

from apps.jobs.catalogue import TICK_SECONDS
from apps.jobs.models import MISSED, Job, JobRun, Tenant

COUNTED = 1000


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
    missed = JobRun.objects.filter(error_type=JobRun.MISSED, slot_at__gt=Now() - dt.timedelta(days=1))
    since = min((told["since"] for told in (slots, runs) if told["since"]), default=None)
    return Lateness(slots["count"], runs["count"], since, missed[:COUNTED].count())
