"""What a drain may take: rows that are due, of queues, services and tenants that are not held."""

import datetime as dt
from functools import lru_cache
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now

from apps.actions import leases, statements
from apps.actions.preparing import GIVEN
from apps.integrations import limits
from apps.integrations.models import Service
from apps.jobs.models import Queue, Tenant
from apps.operations.models import PendingOperation

READ = (
    *("id", "token", "worker", "due_at", "operation_type", "payload", "traceparent"),
    *("attempts", "max_retries", "called_at", "remote_id", "remote_url"),
)
"""What a delivery needs of an operation: reading its forty columns would cost more than the call."""
IN_FLIGHT = "SELECT coalesce(sum(change), 0) FROM operations_tally WHERE service_id = %s AND status = 'processing'"
EVER = dt.datetime.min.replace(tzinfo=dt.UTC)


def claim(
    queue: Queue, service: Service, wanted: int, crashes: int, since: dt.datetime = EVER
) -> list[PendingOperation] | None:
    """Claim what is due of a service in a queue, as many rows as its limit and its calls in flight leave room for.

    `since`: of those alone that were due then or later. None where the service may not be called, or another drain is
    claiming at this moment.
    One short transaction, which holds the service's row: of several drains one at a time counts and takes.
    """
    if crashes and not due(crashes).filter(queue=queue, service=service).exists():
        return []
    with transaction.atomic(savepoint=False):
        granted = limits.grant(service.pk, wanted, queue.pk)
        if granted is None:
            return None
        wanted = min(granted, _room(service))
        taken = _claim_of(leases.this_worker(), queue.pk, service.pk, crashes).take(wanted, since) if wanted > 0 else []
        limits.charge(service.pk, len(taken) - granted)
    return taken


def free_services(queue: Queue) -> list[Service]:
    """Return the services that have work due in a queue and may be called now, least recently called first."""
    if not Queue.objects.filter(pk=queue.pk, status=Queue.Status.ACTIVE).exists():
        return []
    waited = Q(waits_until__isnull=True) | Q(waits_until__lte=Now())
    free = Service.objects.filter(waited, status=Service.Status.ACTIVE, breaker__status="closed")
    # One look into an index for each service. Of EXISTS the planner makes a join, and reads the whole backlog for it.
    first = due().filter(queue=queue, service=OuterRef("pk")).order_by("due_at", "id").values("pk")[:1]
    with_work = free.annotate(first=Subquery(first)).filter(first__isnull=False)
    return list(with_work.order_by(F("tokens_at").asc(nulls_first=True)))


def queues_with_work() -> list[Queue]:
    """Return the active queues in which something is due that may go out now."""
    return [queue for queue in Queue.objects.filter(status=Queue.Status.ACTIVE) if free_services(queue)]


def due(crashes: int | None = None) -> QuerySet[PendingOperation]:
    """Return what is due; with `crashes`, only what was held so often by a worker that fell silent (2: or more)."""
    held = Tenant.objects.filter(status=Tenant.Status.PAUSED).order_by().values("pk")
    rows = PendingOperation.objects.filter(status="pending", due_at__lte=Now()).exclude(tenant__in=held)
    if crashes is None:
        return rows
    return rows.filter(crashes__gte=2) if crashes == 2 else rows.filter(crashes=crashes)


def suspects_of(queue: Queue) -> QuerySet[PendingOperation]:
    """Return what is due in a queue and goes apart: it was held by a worker that fell silent."""
    return due().filter(queue=queue, crashes__gt=0)


@lru_cache(maxsize=1024)
def _claim_of(worker: str, queue: UUID, service: UUID, crashes: int) -> statements.Claim:
    """Return the statement of a claim, compiled once in each worker: `worker` is part of it."""
    rows = due(crashes).filter(queue=queue, service=service, due_at__gte=GIVEN).order_by("due_at", "id")
    return leases.claim_of(PendingOperation.claim, rows, READ)


def _room(service: Service) -> int:
    """Return how many more calls the service takes at once, over all workers."""
    with connection.cursor() as cursor:
        cursor.execute(IN_FLIGHT, [service.pk])
        [(in_flight,)] = cursor.fetchall()
    return service.max_in_flight - int(in_flight)
