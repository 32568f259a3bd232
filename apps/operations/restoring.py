"""After a restore: what was waiting in the backup may have been sent since. It is marked, and sent again only where that
does nothing twice (R26, D6)."""

import datetime as dt

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from apps.actions.running import step
from apps.actions.verbs import Step
from apps.integrations.connectors import CONNECTORS
from apps.integrations.connectors.shape import Doubles
from apps.integrations.models import Service
from apps.operations.models import PendingOperation

BATCH = 1000


def recall(found_at: dt.datetime) -> int:
    """Mark what was waiting or under way when the database was backed up; return how many rows that is.

    Where the far end keeps our key, or can be asked, a row stays pending: its next attempt repeats the key, or looks first.
    Where it can do neither, nobody but a person can decide: it fails as ambiguous, with a dead letter.
    """
    unsure = _("It was waiting when the backup was made, may have been sent since, and this service cannot be asked.")
    repeatable, undecidable = _parted(_unmarked(found_at))
    return _all(PendingOperation.recall, repeatable) + _all(
        PendingOperation.recall_in_doubt, undecidable, last_error=unsure
    )


def _unmarked(found_at: dt.datetime) -> QuerySet[PendingOperation]:
    marked_before = Q(restored_at__isnull=True) | Q(restored_at__lt=found_at)
    under_way = [PendingOperation.Status.PENDING, PendingOperation.Status.PROCESSING]
    return PendingOperation.objects.filter(marked_before, status__in=under_way, created_at__lte=found_at)


def _parted(rows: QuerySet[PendingOperation]) -> tuple[QuerySet[PendingOperation], QuerySet[PendingOperation]]:
    """Part rows by whether something stands against doing them twice."""
    services = Service.objects.in_bulk()
    kinds = rows.order_by().values_list("service_id", "operation_type").distinct()
    undecidable = Q(pk__in=[])
    for service_id, operation_type in kinds:
        if _doubles(services[service_id], operation_type) == Doubles.NONE:
            undecidable |= Q(service=service_id, operation_type=operation_type)
    return rows.exclude(undecidable), rows.filter(undecidable)


def _doubles(service: Service, operation_type: str) -> Doubles:
    connector = CONNECTORS.get(service.connector)
    known = connector.operations.get(operation_type) if connector else None
    return known.doubles(service.options) if known else Doubles.NONE


def _all(move: Step, rows: QuerySet[PendingOperation], **given: str) -> int:
    count = 0
    while moved := step(move, rows, limit=BATCH, **given):
        count += len(moved)
    return count
