"""Three tenants whose ERPs were read last night: two came through, and the user of the third has been revoked."""

import datetime as dt
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _

from apps.integrations.models import CircuitBreaker, Endpoint, Service
from apps.jobs.execution import run_here
from apps.jobs.models import Job, JobRun, Tenant
from apps.syncs.models import Sync, SyncCursor
from opsconsole.demo import far_end
from opsconsole.demo.company import CRM, TENANTS, Company, keep, service_of
from opsconsole.demo.past import id_at

ERP = "millennium"
TOOK = dt.timedelta(seconds=9)
OPTIONS = {"first_days": 10, "overlap": 20}
CUSTOMER = {"name": {"from": "data.name"}, "origin_id": {"value": 2}}


@dataclass(frozen=True)
class Shop:
    """A tenant of the demo company, and how much its ERP holds."""

    slug: str
    name: str
    customers: int
    orders_per_day: int
    broken: tuple[int, ...] = ()
    """Customers that cannot be read."""
    revoked: bool = False


AURORA, BRISA, CEDRO = TENANTS
SHOPS = (
    Shop(AURORA, "Aurora Modas", 900, 40),
    Shop(BRISA, "Brisa Calçados", 240, 12, broken=(13,)),
    Shop(CEDRO, "Cedro Móveis", 120, 6, revoked=True),
)
BETWEEN = {"sync-crm-operacao": CRM, "sync-cuidadores-crm": "cuidadores"}
"""Which of our own systems are read for which job."""


def make_night(company: Company, at: dt.datetime) -> None:
    """Read the tenants' ERPs as at a moment of last night; then say what becomes of later changes."""
    job = Job.objects.get(slug="erp-sync")
    for shop in SHOPS:
        _read(job, _sync(job, shop), at)
    SyncCursor.objects.filter(passed_at__isnull=False).update(passed_at=at, began_at=at, paged_at=at)
    SyncCursor.objects.filter(failed_at__isnull=False).update(failed_at=at)
    far_end.ask("POST", "changes", {"service": "cuidadores", "count": 24})
    for slug, service in BETWEEN.items():
        Sync.objects.create(job=Job.objects.get(slug=slug), service=Service.objects.get(slug=service))
    endpoint = Endpoint.objects.create(
        slug="new-customers",
        name=_("New customers of the shops become persons"),
        source=job.slug,
        event_type="customer.created",
        operation_type="person.create",
        service=company.crm,
        queue=company.crm_queue,
    )
    endpoint.mapped_by(CUSTOMER, "admin", _("The first one"))


def _sync(job: Job, shop: Shop) -> Sync:
    holds = {"customers": shop.customers, "products": shop.customers // 4, "orders": shop.orders_per_day * 30}
    how = {"orders_per_day": shop.orders_per_day, "poisoned": {"customers": list(shop.broken)}}
    far_end.ask("POST", "erp", {"tenant": shop.slug, **holds, **how})
    tenant = Tenant.objects.create(slug=shop.slug, name=shop.name)
    return Sync.objects.create(job=job, tenant=tenant, service=_erp(shop))


def _erp(shop: Shop) -> Service:
    names = {word: f"ERP_{shop.slug.upper()}_{word.upper()}" for word in ("user", "password")}
    keep(settings.DATA_DIR / "credentials" / names["user"], "opsconsole")
    keep(settings.DATA_DIR / "credentials" / names["password"], far_end.rotate(ERP, shop.slug))
    if shop.revoked:
        far_end.rotate(ERP, shop.slug)
    slug, name = f"erp-{shop.slug}", _("ERP of %s") % shop.name
    return service_of(slug, name=name, connector="erp", credentials=names, options=OPTIONS)


def _read(job: Job, sync: Sync, at: dt.datetime) -> None:
    run = JobRun.objects.create(id=id_at(at), job=job, tenant=sync.tenant, slot_at=at, created_at=at)
    run_here(run)
    JobRun.objects.filter(pk=run.pk).update(started_at=at, finished_at=at + TOOK)
    CircuitBreaker.objects.filter(service=sync.service, opened_at__isnull=False).update(opened_at=at)
