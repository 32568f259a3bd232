"""Acme, whose ERP the simulator plays, and the sync that reads it."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from apps.integrations.models import Service
from apps.jobs.execution import run_here
from apps.jobs.models import Job, JobRun, Tenant
from apps.syncs.models import Sync, SyncCursor
from tests.integrations.events import keep_secret
from tests.simulator_process import Simulator

PAGE = 50


def service_of(simulator: Simulator, slug: str, connector: str, base_url: str, **columns: Any) -> Service:
    """A service that the simulator plays, as fast as it can."""
    fast = {"rate_per_second": 10_000, "burst": 10_000, "allowed_networks": ["127.0.0.0/8"], "deadline_seconds": 5}
    told = {"name": slug, "connector": connector, "base_url": base_url, **fast}
    assert urlsplit(base_url).hostname == "127.0.0.1"
    return Service.objects.create(slug=slug, **told | columns)


def erp_of(simulator: Simulator, tenant: str, **options: Any) -> Service:
    """A tenant's ERP."""
    credentials = {
        "user": keep_secret("ERP_USER", "sync"),
        "password": keep_secret("ERP_PASSWORD", simulator.rotate_token("millennium", tenant)),
    }
    options = {"page_size": PAGE, "overlap": 0, "first_days": 10, **options}
    return service_of(simulator, f"erp-{tenant}", "erp", simulator.erp, credentials=credentials, options=options)


def sync_of(simulator: Simulator, slug: str, **options: Any) -> Sync:
    """A tenant with an ERP of its own."""
    tenant = Tenant.objects.create(slug=slug, name=slug.title())
    return Sync.objects.create(
        job=Job.objects.get(slug="erp-sync"), tenant=tenant, service=erp_of(simulator, slug, **options)
    )


def run_of(sync: Sync) -> JobRun:
    """Run a sync's job for it, to its end, in this process."""
    run = JobRun.objects.create(job=sync.job, tenant=sync.tenant)
    run_here(run)
    run.refresh_from_db()
    return run


def cursor_of(sync: Sync, entity: str = "customer") -> SyncCursor:
    """How far it is."""
    return SyncCursor.objects.get(sync=sync, entity=entity)


@pytest.fixture
def small(simulator: Simulator) -> Callable[..., None]:
    """Let Acme's ERP hold a few records."""

    def hold(**how: Any) -> None:
        simulator.erp_of("acme", **{"customers": 120, "products": 7, "orders": 30, "orders_per_day": 10, **how})

    hold()
    return hold


@pytest.fixture
def acme(db: None, simulator: Simulator, small: Callable[..., None]) -> Sync:
    return sync_of(simulator, "acme")
