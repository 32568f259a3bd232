"""R04: PostgreSQL dies under load. What was acknowledged is there, and nobody is blamed for the silence."""

import random
from collections.abc import Callable
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection

from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.chaos.conftest import FULL
from tests.chaos.fleet import Fleet, wait_until
from tests.chaos.score import Score, scored
from tests.chaos.world import World
from tests.simulator_process import Simulator

CRASHES, BETWEEN = (20, 200) if FULL else (3, 150)


def taken_in(service: Service, queue: Queue, n: int) -> UUID | None:
    """Take one operation in; its id once the commit was acknowledged."""
    try:
        made = PendingOperation.objects.create(
            service=service, queue=queue, operation_type="http.post", payload={"n": n}
        )
    except (OperationalError, InterfaceError):
        connection.close()
        return None
    return made.pk


def test_what_was_acknowledged_is_there_after_each_crash(
    world: World,
    simulator: Simulator,
    erp: Service,
    queue: Queue,
    fleet_of: Callable[..., Fleet],
    seed: int,
    report: Callable[[Score], Score],
) -> None:
    fleet, dice, acknowledged = fleet_of(), random.Random(seed), set[UUID]()  # noqa: S311 # no secret
    for crash in range(CRASHES):
        numbers = range(crash * BETWEEN, (crash + 1) * BETWEEN)
        kept = [taken_in(erp, queue, n) for n in numbers]
        wait_until(lambda: PendingOperation.objects.filter(status="processing").exists())
        dice.choice([world.kill_postgres, world.crash_postgres])()
        connection.close()
        world.start_postgres()
        fleet.tend()
        acknowledged |= {key for key in kept if key}
        assert PendingOperation.objects.filter(pk__in=acknowledged).count() == len(acknowledged), seed
    wait_until(lambda: not PendingOperation.objects.exclude(status="completed").exists())
    report(score := scored("PostgreSQL killed", len(acknowledged), simulator, kills=CRASHES))
    assert (score.completed, score.dead_letters, score.second_effects, score.second_keys) == (
        len(acknowledged),
        0,
        0,
        0,
    )
