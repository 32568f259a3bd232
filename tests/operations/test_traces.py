"""The trace that an event came in with goes along to the calls that are made for it."""

from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations import delivery
from tests.operations.conftest import hand_in
from tests.simulator_process import Simulator

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_each_call_is_a_span_of_its_own_in_the_trace(simulator: Simulator, erp: Service, queue: Queue) -> None:
    hand_in(erp, queue, 2, traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
    delivery.drain(queue)
    told = [call["headers"]["traceparent"].split("-") for call in simulator.requests(service="erp")]
    assert [trace for _version, trace, _span, _flags in told] == [TRACE, TRACE]
    assert len({span for _version, _trace, span, _flags in told} | {"b7ad6b7169203331"}) == 3


def test_what_came_out_of_no_trace_carries_none(simulator: Simulator, erp: Service, queue: Queue) -> None:
    hand_in(erp, queue)
    delivery.drain(queue)
    [call] = simulator.requests(service="erp")
    assert "traceparent" not in call["headers"]
