"""Which jobs read from other systems, and where each kind of record is kept."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.integrations.connectors import CONNECTORS
from apps.integrations.connectors.shape import Reading
from apps.integrations.models import Service
from apps.jobs.catalogue import kinds
from apps.jobs.models import Job
from apps.syncs.models import Customer, Order, PassedOn, Product, Record, Sync

KEPT: dict[str, type[Record]] = {"customer": Customer, "product": Product, "order": Order}
"""Where a tenant's records are kept; of our own systems' only what tells whether they changed (`PassedOn`)."""


def per_tenant(job: Job) -> bool:
    """Say whether a job reads for one tenant at a time."""
    kind = kinds().get(job.slug)
    return kind is not None and kind.per_tenant


def tenants_of_erp() -> QuerySet[Sync, UUID | None]:
    """Return the tenants whose ERP is read: those with a sync that is not paused."""
    active = Sync.objects.filter(job__slug="erp-sync", status=Sync.Status.ACTIVE, tenant__isnull=False)
    return active.values_list("tenant", flat=True)


def readings_of(service: Service) -> Mapping[str, Reading]:
    """Return what can be read from a service."""
    connector = CONNECTORS.get(service.connector)
    return connector.readings if connector else {}


def kept_as(sync: Sync, entity: str) -> type[Record]:
    """Return where the records of a sync are kept."""
    return KEPT.get(entity, PassedOn) if sync.tenant_id else PassedOn


def owner_of(sync: Sync, entity: str) -> dict[str, Any]:
    """Return whose the records of a sync are, as their rows say it."""
    if kept_as(sync, entity) is PassedOn:
        return {"sync_id": sync.pk, "entity": entity}
    return {"tenant_id": sync.tenant_id}
