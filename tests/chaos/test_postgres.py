"""R04: PostgreSQL dies under load. What was acknowledged is there, and nobody is blamed for the silence."""

import random
import time
from collections.abc import Callable

from django.db import connection

from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.chaos.callers import Callers
from tests.chaos.fleet import Fleet, wait_until
from tests.chaos.score import FULL, Score, scored
from tests.chaos.web import Web
from tests.chaos.world import World
from tests.simulator_process import Simulator

CRASHES, BETWEEN = (20, 150) if FULL else (3, 60)
BACK_SECONDS = 30


def more_acknowledged(callers: Callers, count: int) -> None:
    goal = len(callers.acknowledged) + count
    wait_until(lambda: len(callers.acknowledged) >= goal, BACK_SECONDS + 60)


def test_what_was_acknowledged_is_there_after_each_crash(
    world: World,
    simulator: Simulator,
    erp: Service,
    queue: Queue,
    web: Web,
    fleet_of: Callable[..., Fleet],
    seed: int,
    report: Callable[[Score], Score],
) -> None:
    fleet, dice, away = fleet_of(), random.Random(seed), list[float]()  # noqa: S311 # no secret
    with Callers(web) as callers:
        for _crash in range(CRASHES):
            more_acknowledged(callers, BETWEEN)
            dice.choice([world.kill_postgres, world.crash_postgres])()
            died = time.monotonic()
            connection.close()
            wait_until(lambda: callers.answers[503] > 0, 10)
            world.start_postgres()
            more_acknowledged(callers, 1)
            away.append(time.monotonic() - died)
    connection.close()
    wait_until(lambda: not PendingOperation.objects.exclude(status="completed").exists())
    kept = PendingOperation.objects.filter(pk__in=callers.acknowledged).count()
    made = PendingOperation.objects.count()  # some were committed whose answer was lost with the connection
    score = report(scored("PostgreSQL killed", made, simulator, kills=CRASHES))
    told = f"{callers.answers[503]} answers of 503, writing again after {max(away):.1f} s at most"
    score.notes = [
        f"{len(callers.acknowledged)} acknowledged, {len(callers.acknowledged) - kept} of them missing",
        told,
    ]
    assert kept == len(callers.acknowledged), seed
    assert set(callers.answers) == {202, 503}
    assert callers.without_retry_after == 0
    assert max(away) <= BACK_SECONDS
    assert (score.completed, score.dead_letters, score.second_effects, score.second_keys, fleet.ended) == (
        made,
        0,
        0,
        0,
        0,
    )
