from typing import Any

import pytest

from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.simulator_process import Simulator


@pytest.fixture
def queue(db: None) -> Queue:
    return Queue.objects.create(slug="crm", name="What goes to the CRM")


def receiver(simulator: Simulator, name: str = "erp", **columns: Any) -> Service:
    """A service of the simulator's that takes any JSON; it honours our key unless told otherwise."""
    columns = {"rate_per_second": 5000, "burst": 5000, "options": {"honours_key": True}} | columns
    return Service.objects.create(
        slug=name,
        name=name,
        connector="http",
        base_url=simulator.http(name),
        allowed_networks=["127.0.0.0/8"],
        **columns,
    )


@pytest.fixture
def erp(simulator: Simulator, db: None) -> Service:
    return receiver(simulator)


def hand_in(service: Service, queue: Queue, count: int = 1, **columns: Any) -> list[PendingOperation]:
    return [
        PendingOperation.objects.create(
            service=service, queue=queue, operation_type="http.post", payload={"n": number}, **columns
        )
        for number in range(count)
    ]
