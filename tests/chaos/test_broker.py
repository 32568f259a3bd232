"""R02, R03: Redis is away, silent or emptied. Work is taken in all the same, and goes out when it is back."""

from collections.abc import Callable

from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.chaos.conftest import hand_in
from tests.chaos.fleet import Fleet, wait_until
from tests.chaos.score import Score, scored
from tests.chaos.web import Web, p95_ms
from tests.chaos.world import World
from tests.simulator_process import Simulator

POSTS = 250


def bodies(first: int) -> list[object]:
    return [
        {"service": "erp", "queue": "crm", "operation_type": "http.post", "payload": {"n": n}}
        for n in range(first, first + POSTS)
    ]


def all_completed() -> bool:
    return not PendingOperation.objects.exclude(status="completed").exists()


def test_handing_in_needs_no_broker(
    world: World,
    simulator: Simulator,
    erp: Service,
    queue: Queue,
    web: Web,
    fleet_of: Callable[..., Fleet],
    report: Callable[[Score], Score],
) -> None:
    fleet = fleet_of()
    before = web.post_many("/api/pending-operations", bodies(2 * POSTS))
    wait_until(lambda: PendingOperation.objects.filter(status="processing").exists())
    world.kill_redis()  # while workers hold more wake-ups than they have begun
    dead = web.post_many("/api/pending-operations", bodies(0))
    verb, _seconds = web.post("/api/pending-operations/process")
    world.start_redis()
    world.silence_redis()
    silent = web.post_many("/api/pending-operations", bodies(POSTS))
    world.unsilence_redis()
    taken_in = PendingOperation.objects.count()
    wait_until(all_completed)
    fleet.tend()
    score = scored("Redis away, then silent", 3 * POSTS, simulator, kills=2)
    report(score).notes = [f"p95 of a POST {p95_ms(dead)} ms away, {p95_ms(silent)} ms silent"]
    assert {status for status, _seconds in before + dead + silent} == {202}
    assert (verb, taken_in, score.completed, fleet.ended) == (200, 3 * POSTS, 3 * POSTS, 0)


def test_emptied_under_everybodys_connections_it_costs_nothing(
    world: World,
    simulator: Simulator,
    erp: Service,
    queue: Queue,
    fleet_of: Callable[..., Fleet],
    report: Callable[[Score], Score],
) -> None:
    fleet_of()
    for turn in range(3):
        hand_in(erp, queue, 100, first=turn * 100)
        wait_until(lambda: PendingOperation.objects.filter(status="processing").exists())
        world.flush_redis()
    wait_until(all_completed)
    score = report(scored("Redis emptied by FLUSHALL", 300, simulator, kills=3))
    assert (score.completed, score.called_twice) == (300, 0)
