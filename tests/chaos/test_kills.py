"""R01, R02: workers, their pool's processes and Redis die at any moment; nothing is lost, nothing is done twice."""

import statistics
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from apps.actions.running import database_now
from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.chaos.conftest import LATENCY, hand_in
from tests.chaos.fleet import Fleet, Killer, next_strike, until
from tests.chaos.score import FULL, Score, scored
from tests.chaos.world import World
from tests.operations.conftest import receiver
from tests.simulator_process import Simulator

OPERATIONS, KILLS = (10_000, 200) if FULL else (1_000, 20)
REDIS_KILLS, REDIS_WIPES = (8, 4) if FULL else (2, 1)
NODES, CHILDREN = (3, 4) if FULL else (2, 2)


def working() -> bool:
    return PendingOperation.objects.filter(status="processing").exists()


def settled() -> int:
    return PendingOperation.objects.filter(status__in=["completed", "failed"]).count()


Hit = dict[UUID, datetime]
"""What was held by whom a kill hit, and when."""


def strike(killer: Killer) -> Hit:
    held = dict(PendingOperation.objects.filter(status="processing").values_list("pk", "worker"))
    at, victims = database_now(), killer.strike()
    return {key: at for key, worker in held.items() if int(worker.rpartition(":")[2] or 0) in victims}


def seconds_to_done(hit: Hit) -> str:
    """From the last kill that hit an operation until it was delivered."""
    done = dict(PendingOperation.objects.filter(pk__in=hit, status="completed").values_list("pk", "completed_at"))
    waits = [(at - hit[key]).total_seconds() for key, at in done.items() if at]
    centiles = statistics.quantiles(waits, n=100) if len(waits) > 1 else [0.0] * 99
    return f"{len(hit)} hit, delivered after {centiles[49]:.0f} s (median), {centiles[98]:.0f} s (p99)"


def strike_while_they_work(world: World, killer: Killer, operations: int, kills: int, redis: int, wipes: int) -> Hit:
    """Spread the kills over the work; every so often Redis dies too, and comes back without its file."""
    hit: Hit = {}
    redis_at = {kills * (n + 1) // (redis + 1) for n in range(redis)}
    wiped_at = sorted(redis_at)[:wipes]
    for _round in until(lambda: settled() == operations, 600 if FULL else 180):
        killer.fleet.wake_sleepers()
        killer.fleet.tend()
        if killer.kills >= kills or not working() or settled() < next_strike(killer.kills, kills, operations, over=0.9):
            continue
        hit |= strike(killer)
        if killer.kills in redis_at:
            world.kill_redis()
            if killer.kills in wiped_at:
                world.wipe_redis()
            world.start_redis()
    return hit


def test_nothing_is_lost_and_no_key_is_made_twice(
    world: World,
    simulator: Simulator,
    erp: Service,
    queue: Queue,
    fleet_of: Callable[..., Fleet],
    seed: int,
    report: Callable[[Score], Score],
) -> None:
    hand_in(erp, queue, OPERATIONS)
    killer = Killer(fleet_of(nodes=NODES, children=CHILDREN), seed)
    hit = strike_while_they_work(world, killer, OPERATIONS, KILLS, REDIS_KILLS, REDIS_WIPES)
    score = report(scored("kills, key honoured", OPERATIONS, simulator, kills=killer.kills))
    score.notes = [seconds_to_done(hit)]
    assert (score.completed, score.lost, score.second_effects, score.second_keys) == (OPERATIONS, 0, 0, 0), seed
    assert killer.kills == KILLS


def test_a_far_end_without_keys_is_never_called_twice(
    world: World,
    simulator: Simulator,
    queue: Queue,
    fleet_of: Callable[..., Fleet],
    seed: int,
    report: Callable[[Score], Score],
) -> None:
    operations, kills = OPERATIONS // 5, KILLS // 5
    simulator.conditions("plain", latency=LATENCY)
    hand_in(receiver(simulator, "plain", options={}, max_in_flight=10), queue, operations)
    killer = Killer(fleet_of(nodes=NODES, children=CHILDREN), seed)
    strike_while_they_work(world, killer, operations, kills, redis=0, wipes=0)
    score = report(scored("kills, nothing against doubles", operations, simulator, ["plain"], kills=killer.kills))
    assert (score.lost, score.called_twice, score.second_keys) == (0, 0, 0), seed
    assert score.dead_letters == score.ambiguous == operations - score.completed
