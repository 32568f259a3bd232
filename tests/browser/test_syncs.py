"""The switchboard, a sync's page, the form that reads from a date again, and the stored records, in Chromium."""

import os
from pathlib import Path

import pytest

from apps.actions.running import database_now
from apps.jobs.models import Job, JobRun, Tenant
from apps.syncs.models import Customer, Sync, SyncCursor
from tests.browser.conftest import Look, Screen, audit
from tests.cast import Company

looks = [Look(language="en"), Look(language="pt-br"), Look(width=390)]
SHOTS = os.environ.get("OPS_SHOTS", "")
"""A folder that keeps what is seen."""


def set_up(company: Company) -> Sync:
    """Two tenants that were read, one of them refused since, and one that reads nothing."""
    job, now = Job.objects.get(slug="erp-sync"), database_now()
    acme, globex = (Tenant.objects.create(slug=slug, name=slug.title()) for slug in ("acme", "globex"))
    Tenant.objects.create(slug="hooli", name="Hooli")
    syncs = [Sync.objects.create(job=job, tenant=tenant, service=company.erp) for tenant in (acme, globex)]
    for sync, error in zip(syncs, ("", "erp-globex refuses our user: Answered 401"), strict=True):
        counts = {"read": 1240, "created": 12, "updated": 3, "unchanged": 1224, "rejected": 1}
        told = {"watermark": {"after": 10_412}, "counts": counts, "passed_at": now, "last_error": error}
        SyncCursor.objects.create(sync=sync, entity="change", failed_at=now if error else None, **told)
    JobRun.objects.bulk_create(JobRun(job=job, tenant=globex, status="failed") for _n in range(3))
    Customer.objects.create(
        tenant=acme, code="7", name="Alice Abrantes", email="alice@example.com", told={"cliente": 7}
    )
    return syncs[0]


def keep(screen: Screen, name: str) -> None:
    if SHOTS:
        screen.page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


@pytest.mark.parametrize("look", looks, ids=str)
def test_the_pages_of_syncs_are_readable(screen: Screen, company: Company, look: Look) -> None:
    sync = set_up(company)
    customer = Customer.objects.get()
    paths = {
        "switchboard": "/admin/syncs/sync/switchboard/",
        "list": "/admin/syncs/sync/",
        "sync": f"/admin/syncs/sync/{sync.pk}/change/",
        "customers": "/admin/syncs/customer/",
        "customer": f"/admin/syncs/customer/{customer.pk}/change/",
    }
    for name, path in paths.items():
        screen.open(path)
        for theme in ("light", "dark"):
            screen.wear(theme)
            keep(screen, f"{name}-{look}-{theme}")
            audit(screen)


@pytest.mark.parametrize("look", looks, ids=str)
def test_a_person_reads_from_a_date_again_and_sees_first_what_that_means(
    screen: Screen, company: Company, look: Look
) -> None:
    sync = set_up(company)
    page = screen.open(f"/admin/syncs/sync/resync/?id={sync.pk}")
    page.locator("#id_since").fill("2026-01-31")
    page.locator("#id_reason").fill("the mapping was wrong")
    page.locator("button[name=look]").click()
    page.locator("#foreseen").wait_for()
    keep(screen, f"resync-{look}")
    audit(screen)
    page.locator("button[name=confirm]").click()
    page.wait_for_url("**/change/")
    assert JobRun.objects.filter(tenant=sync.tenant, status="queued").count() == 1
