"""R10, R13: how long a service is left alone after it asked for it, and how fast it is called otherwise."""

import pytest

from apps.actions.running import database_now
from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations import delivery
from apps.operations.models import PendingOperation
from tests.operations.conftest import hand_in, receiver
from tests.races import at_once, raised
from tests.simulator_process import Simulator

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = 3600


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("form", "asked", "least", "most"),
    [
        ("seconds", 30, 30, 33),
        ("date", 30, 28, 33),
        ("seconds", 0, 1, 1.1),
        ("seconds", -5, 1, 1.1),
        ("seconds", 10**9, HOUR, HOUR * 1.1),
        ("junk", 30, 1, 10),
    ],
)
def test_the_whole_service_waits_as_long_as_it_asked(
    simulator: Simulator, erp: Service, queue: Queue, status: int, form: str, asked: int, least: float, most: float
) -> None:
    simulator.fault("rate_limit", service="erp", status=status, retry_after=form, wait_seconds=asked)
    hand_in(erp, queue, 3)
    began = database_now()
    delivery.drain(queue, seconds=0.2)
    erp.refresh_from_db()
    assert erp.waits_until
    assert least <= (erp.waits_until - began).total_seconds() <= most + 5  # and what the drain took
    assert str(status) in erp.waits_because


@pytest.mark.parametrize("status", [429, 503])
def test_while_it_waits_nothing_goes_out_and_no_attempt_is_used(
    simulator: Simulator, erp: Service, queue: Queue, status: int
) -> None:
    simulator.fault("rate_limit", service="erp", status=status, wait_seconds=60)
    hand_in(erp, queue, 3)
    for _drain in range(3):
        delivery.drain(queue, seconds=0.2)
        PendingOperation.objects.update(due_at="2000-01-01T00:00:00Z")
    assert simulator.ledger(service="erp")["totals"]["calls"] == 3
    assert set(PendingOperation.objects.values_list("status", "attempts")) == {("pending", 0)}


@pytest.mark.parametrize("status", [400, 404, 405, 409, 415, 422])
def test_what_will_be_refused_again_is_called_once(simulator: Simulator, queue: Queue, status: int) -> None:
    plain = receiver(simulator, "plain", options={})
    simulator.fault("answer", service="plain", status=status)
    hand_in(plain, queue)
    for _drain in range(2):
        delivery.drain(queue, seconds=0.2)
    assert simulator.ledger(service="plain")["totals"]["calls"] == 1
    assert PendingOperation.objects.get().status == "failed"


def test_several_drains_keep_to_the_rate_together(simulator: Simulator, queue: Queue) -> None:
    steady = receiver(simulator, "steady", rate_per_second=20, burst=5, options={"honours_key": True})
    hand_in(steady, queue, 50)
    assert not raised(at_once(*[lambda: delivery.drain(queue, seconds=12)] * 3))
    came = [call["at"] for call in simulator.requests(service="steady", limit=100)]
    assert len(came) >= 50
    # However the seconds are cut: what the bucket holds, and what a second adds to it.
    assert all(later - earlier >= 0.8 for earlier, later in zip(came, came[27:], strict=False))


def test_calls_in_flight_are_counted_over_all_drains(simulator: Simulator, queue: Queue) -> None:
    slow = receiver(simulator, "slow", max_in_flight=5)
    simulator.fault("delay", service="slow", seconds=0.3)
    hand_in(slow, queue, 20)
    assert not raised(at_once(*[lambda: delivery.drain(queue, seconds=12)] * 3))
    calls = simulator.requests(service="slow", limit=100)
    moments = sorted([(call["at"], 1) for call in calls] + [(call["settled_at"], -1) for call in calls])
    in_flight = [sum(step for _at, step in moments[: place + 1]) for place in range(len(moments))]
    assert max(in_flight) <= 5
