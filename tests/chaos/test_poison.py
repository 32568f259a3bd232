"""R07: operations that kill their workers are given up after four; what was carried with them is delivered."""

from collections.abc import Callable

from django.db.models import Max

from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.chaos.conftest import hand_in
from tests.chaos.fleet import Fleet, wait_until
from tests.chaos.score import Score, scored
from tests.simulator_process import Simulator

OPERATIONS = 1_000


def test_poison_is_parted_from_its_mates(
    simulator: Simulator,
    erp: Service,
    queue: Queue,
    fleet_of: Callable[..., Fleet],
    report: Callable[[Score], Score],
) -> None:
    hand_in(erp, queue, OPERATIONS // 2)
    deadly = PendingOperation.objects.bulk_create(
        PendingOperation(service=erp, queue=queue, operation_type="http.post", payload={"n": -n, "dies": how})
        for n, how in enumerate(["exit", "segfault"], 1)
    )
    hand_in(erp, queue, OPERATIONS // 2, first=OPERATIONS // 2)
    Service.objects.update(connector="deadly")
    fleet_of(nodes=1, children=2, app="tests.chaos.poisoned", OPS_LEASE_SECONDS="2")
    wait_until(lambda: not PendingOperation.objects.filter(status__in=["pending", "processing"]).exists())
    report(scored("poison among others", OPERATIONS + len(deadly), simulator))
    buried = PendingOperation.objects.filter(pk__in=[operation.pk for operation in deadly])
    mates = PendingOperation.objects.exclude(pk__in=buried)
    assert list(buried.values_list("status", "failure_class", "crashes")) == [("failed", "poison", 4)] * len(deadly)
    assert mates.filter(status="completed").count() == OPERATIONS
    assert (mates.aggregate(most=Max("crashes"))["most"] or 0) <= 2
