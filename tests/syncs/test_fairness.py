"""A huge tenant does not hold up the small ones: it gives its worker back while others wait, and goes on behind them."""

import pytest

from apps.jobs import execution
from apps.jobs.models import JobRun
from apps.syncs.models import Customer, Sync
from tests.simulator_process import Simulator
from tests.syncs.conftest import sync_of


def test_a_small_tenant_waits_for_a_turn_of_the_huge_one_and_not_for_its_end(
    acme: Sync, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = list[execution.Work]()

    def has_had_its_turn(work: execution.Work) -> bool:
        """A page is a turn, where others wait."""
        over = any(one is work for one in began) and execution.claimable().exists()
        began.append(work)
        return over

    monkeypatch.setattr(execution.Work, "_has_had_its_turn", has_had_its_turn)
    small = sync_of(simulator, "small")
    simulator.erp_of("small", customers=3, products=0, orders=0)
    runs = [JobRun.objects.create(job=sync.job, tenant=sync.tenant) for sync in (acme, small)]
    ends = [(run.tenant, execution.carry_out(run)) for _turn in runs if (run := execution.claim())]
    assert ends == [(acme.tenant, "given back"), (small.tenant, "given back")]
    score = execution.work_off(60)
    assert score["succeeded"] == len(runs), score
    first, last = JobRun.objects.order_by("finished_at").values_list("tenant__slug", flat=True)
    assert (first, last) == ("small", "acme")
    assert [Customer.objects.filter(tenant=sync.tenant).count() for sync in (acme, small)] == [120, 3]
