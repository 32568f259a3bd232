"""A tenant's sync whose worker dies again and again: every record once, counts that equal the source, the cursor right."""

import time
from collections.abc import Callable

from apps.jobs.models import JobRun
from apps.syncs.models import Customer, Order, Product
from tests.chaos.fleet import Fleet, next_strike, until
from tests.chaos.score import FULL, Score
from tests.chaos.world import World
from tests.simulator_process import Simulator
from tests.syncs.conftest import cursor_of, sync_of

CUSTOMERS, PRODUCTS, ORDERS, KILLS, PAGE = (60_000, 10_000, 30_000, 20, 500) if FULL else (3_000, 500, 1_500, 5, 50)
RECORDS = CUSTOMERS + PRODUCTS + ORDERS


def taken_in() -> int:
    return Customer.objects.count() + Product.objects.count() + Order.objects.count()


def ended(run: JobRun) -> bool:
    run.refresh_from_db()
    return run.status not in JobRun.UNDER_WAY


def test_a_sync_whose_worker_is_killed_brings_every_record_once(
    world: World, simulator: Simulator, fleet_of: Callable[..., Fleet], report: Callable[[Score], Score]
) -> None:
    simulator.erp_of("acme", customers=CUSTOMERS, products=PRODUCTS, orders=ORDERS, orders_per_day=ORDERS // 5)
    sync = sync_of(simulator, "acme", page_size=PAGE)
    run = JobRun.objects.create(job=sync.job, tenant=sync.tenant)
    fleet, kills, began = fleet_of(nodes=1, children=1), 0, time.monotonic()
    for _round in until(lambda: ended(run), 1800 if FULL else 300):
        fleet.tend()
        if kills < KILLS and run.status == "running" and taken_in() > next_strike(kills, KILLS, RECORDS):
            fleet.kill_node(fleet.nodes[0])
            kills += 1
    seconds = time.monotonic() - began

    words = f"{RECORDS:,} records in {seconds:.0f} s, counts {run.counts}"
    report(Score("tenant sync, worker killed", RECORDS, kills=kills, completed=taken_in(), notes=[words]))
    assert (run.status, run.last_error, kills) == ("succeeded", "", KILLS)
    assert run.counts == {"read": RECORDS, "created": RECORDS}
    assert [model.objects.count() for model in (Customer, Product, Order)] == [CUSTOMERS, PRODUCTS, ORDERS]
    assert cursor_of(sync, "customer").watermark == {"after": CUSTOMERS}
    assert cursor_of(sync, "customer").counts == {"read": CUSTOMERS, "created": CUSTOMERS}
    assert cursor_of(sync, "order").position is None
