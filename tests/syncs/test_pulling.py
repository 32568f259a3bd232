"""A sync run: everything once, counts that add up, a cursor that survives, and failures that say why."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.actions import leases
from apps.integrations.models import CircuitBreaker
from apps.jobs import execution
from apps.jobs.models import JobRun
from apps.syncs.models import Customer, Order, Product, RejectedRecord, Sync
from tests.simulator_process import Simulator
from tests.syncs.conftest import cursor_of, run_of, sync_of

Held = Callable[..., None]
SUMMANDS = ("created", "updated", "unchanged", "rejected")


def added_up(counts: dict[str, int]) -> bool:
    return counts["read"] == sum(counts.get(name, 0) for name in SUMMANDS)


def test_the_first_run_brings_every_record_once(acme: Sync) -> None:
    run = run_of(acme)
    assert (run.status, run.last_error) == ("succeeded", "")
    assert [model.objects.count() for model in (Customer, Product, Order)] == [120, 7, 30]
    assert run.counts == {"read": 157, "created": 157}


def test_a_record_stands_in_our_words(acme: Sync) -> None:
    run_of(acme)
    customer, order = Customer.objects.get(code="7"), Order.objects.get(code="P7")
    assert customer.tenant == acme.tenant
    assert (customer.email, customer.revision) == ("cliente7@acme.example", 7)
    assert customer.born_on is not None
    assert (order.total, len(order.items) > 0) == (sum(item["price"] for item in order.items), True)


def test_what_came_is_kept_masked(acme: Sync) -> None:
    run_of(acme)
    told = Customer.objects.get(code="7").told
    assert told["cliente"] == 7
    assert told["e_mail"] == "c***@a…"


def test_the_second_run_reads_only_what_changed(acme: Sync, small: Held, simulator: Simulator) -> None:
    run_of(acme)
    simulator.erp_of("acme", touch={"customers": [3, 121]})
    run = run_of(acme)
    assert cursor_of(acme).counts == {"read": 2, "updated": 1, "created": 1}
    assert run.counts["created"] == 1
    assert added_up(run.counts)


def test_what_is_read_again_and_the_same_is_not_written(acme: Sync) -> None:
    run_of(acme)
    before = dict(Customer.objects.values_list("code", "changed_at"))
    acme.cursors.update(watermark={})
    run = run_of(acme)
    assert run.counts["unchanged"] >= 120
    assert dict(Customer.objects.values_list("code", "changed_at")) == before


@pytest.mark.parametrize("drift", [1, 4])
def test_a_list_that_shifts_while_it_is_read_skips_nothing(acme: Sync, simulator: Simulator, drift: int) -> None:
    simulator.erp_of("acme", drift=drift, orders=120, orders_per_day=120)
    run = run_of(acme)
    assert run.status == "succeeded"
    assert Customer.objects.count() == 120
    assert added_up(run.counts)
    later = run_of(acme)
    assert (later.status, Customer.objects.count(), Order.objects.filter(code="P1").count()) == ("succeeded", 120, 1)


def test_a_day_whose_orders_shift_is_read_whole(acme: Sync, simulator: Simulator) -> None:
    simulator.erp_of("acme", customers=0, products=0, drift=2, orders=120, orders_per_day=120)
    run = run_of(acme)
    assert (run.status, Order.objects.filter(code__in=[f"P{n}" for n in range(1, 121)]).count()) == ("succeeded", 120)


def test_a_broken_record_is_set_aside_and_stops_no_other(acme: Sync, small: Held) -> None:
    small(poisoned={"customers": [13], "orders": [4]})
    run = run_of(acme)
    assert (run.status, run.counts["rejected"], run.counts["created"]) == ("succeeded", 2, 155)
    assert sorted(RejectedRecord.objects.values_list("entity", "code", "status")) == [
        ("customer", "13", "failed"),
        ("order", "P4", "failed"),
    ]
    assert "nome" in RejectedRecord.objects.get(code="13").last_error


def test_a_revoked_user_fails_that_tenant_alone(acme: Sync, simulator: Simulator) -> None:
    globex = sync_of(simulator, "globex")
    simulator.erp_of("globex", customers=3, products=0, orders=0)
    simulator.rotate_token("millennium", "acme")
    failed, good = run_of(acme), run_of(globex)
    assert (failed.status, failed.failure_class, failed.service) == ("failed", "credential", "erp-acme")
    assert "erp-acme refuses our user" in failed.last_error
    assert (good.status, Customer.objects.count()) == ("succeeded", 3)
    assert CircuitBreaker.objects.get(service=acme.service).status == "open"


def test_a_failure_stands_on_the_cursor_and_goes_with_the_next_success(acme: Sync, simulator: Simulator) -> None:
    fault = simulator.fault("answer", service="millennium", path="*produtos*", status=405)
    assert run_of(acme).status == "failed"
    assert (cursor_of(acme, "product").last_error != "", cursor_of(acme, "order").passed_at is not None) == (True, True)
    simulator.ask("DELETE", f"faults/{fault}")
    assert run_of(acme).status == "succeeded"
    assert cursor_of(acme, "product").last_error == ""


def test_a_run_that_failed_goes_on_at_the_page_it_failed_at(acme: Sync, simulator: Simulator) -> None:
    simulator.fault("answer", service="millennium", path="*clientes*", status=405, spare=1, times=1)
    assert run_of(acme).status == "failed"
    assert (Customer.objects.count(), cursor_of(acme).position) == (50, {"after": 50})
    assert cursor_of(acme).watermark == {}
    run_of(acme)
    assert cursor_of(acme).counts == {"read": 120, "created": 120}
    assert cursor_of(acme).watermark == {"after": 120}


@pytest.mark.parametrize(
    ("effect", "how"),
    [
        ("answer", {"status": 200, "body": {"error": {"message": "Tempo esgotado"}}}),
        ("answer", {"status": 503}),
        ("drop", {}),
        ("rate_limit", {"wait_seconds": 1}),
    ],
)
def test_what_fails_in_passing_is_asked_again(acme: Sync, simulator: Simulator, effect: str, how: Any) -> None:
    simulator.fault(effect, service="millennium", times=1, **how)
    assert run_of(acme).status == "succeeded"
    assert Customer.objects.count() == 120


def test_an_answer_that_is_no_list_never_ends_the_pass(acme: Sync, simulator: Simulator) -> None:
    simulator.fault("garbage", service="millennium", kind="html", spare=1)
    run = run_of(acme)
    assert (run.status, run.failure_class) == ("failed", "unknown")
    assert cursor_of(acme).watermark == {}


def test_a_byte_order_mark_is_no_hindrance(acme: Sync, small: Held) -> None:
    small(bom=True)
    assert run_of(acme).status == "succeeded"


def test_a_worker_that_lost_its_run_writes_no_page(acme: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(model: Any, tokens: Any, lease: Any = None) -> None:
        """The lease is somebody else's by now."""

    monkeypatch.setattr(leases, "renew", lose)
    run = JobRun.objects.create(job=acme.job, tenant=acme.tenant)
    taken = execution.claim(pk=run.pk)
    assert taken
    JobRun.objects.filter(pk=run.pk).update(token=(taken.token or 0) + 1)
    assert execution.carry_out(taken) == "lost"
    assert (Customer.objects.count(), cursor_of(acme).position) == (0, None)


def test_a_paused_sync_is_left_out(acme: Sync) -> None:
    Sync.objects.filter(pk=acme.pk).update(**{"status": "paused", "paused_reason": "year-end"})
    assert (run_of(acme).status, Customer.objects.count()) == ("succeeded", 0)


def test_a_job_without_a_sync_reads_nothing(acme: Sync, simulator: Simulator) -> None:
    Sync.objects.all().delete()
    assert run_of(acme).counts == {}


def test_a_paused_service_is_not_called(acme: Sync, simulator: Simulator) -> None:
    type(acme.service).objects.filter(pk=acme.service_id).update(**{"status": "paused", "paused_reason": "moving"})
    run = run_of(acme)
    assert (run.status, run.failure_class) == ("failed", "dependency_down")
    assert "moving" in run.last_error
    assert simulator.ledger(service="millennium")["totals"]["calls"] == 0
