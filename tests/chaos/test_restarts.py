"""R15: deploys under load. SIGTERM finishes what was begun; SIGQUIT breaks it off and leaves consistent rows."""

import random
import signal
from collections.abc import Callable

import pytest
from django.db.models import Max

from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.chaos.conftest import hand_in
from tests.chaos.fleet import Fleet, next_strike, until
from tests.chaos.score import FULL, Score, scored
from tests.simulator_process import Simulator

OPERATIONS, RESTARTS, PACE = (5_000, 50, 50) if FULL else (400, 6, 25)


def completed() -> int:
    return PendingOperation.objects.filter(status="completed").count()


@pytest.fixture
def steady(erp: Service) -> Service:
    """A far end that takes so many calls a second that the work outlasts the restarts."""
    erp.rate_per_second, erp.burst = PACE, PACE
    erp.save()
    return erp


def restart_while_they_work(fleet: Fleet, seed: int, number: signal.Signals) -> int:
    """Spread the restarts of nodes, one after another, over the work."""
    dice, restarts = random.Random(seed), 0  # noqa: S311 # no secret
    for _round in until(lambda: completed() == OPERATIONS, 600 if FULL else 180):
        due = next_strike(restarts, RESTARTS, OPERATIONS, over=0.9)
        if restarts < RESTARTS and due < completed() < OPERATIONS:
            dice.choice(fleet.nodes).restart(number)
            restarts += 1
    return restarts


def test_a_deploy_loses_nothing_and_calls_nothing_twice(
    simulator: Simulator,
    steady: Service,
    queue: Queue,
    fleet_of: Callable[..., Fleet],
    seed: int,
    report: Callable[[Score], Score],
) -> None:
    hand_in(steady, queue, OPERATIONS)
    restarts = restart_while_they_work(fleet_of(), seed, signal.SIGTERM)
    score = report(scored("restarts, SIGTERM", OPERATIONS, simulator, kills=restarts))
    assert (score.completed, score.called_twice, score.second_keys) == (OPERATIONS, 0, 0), seed
    assert restarts > 0
    assert PendingOperation.objects.aggregate(most=Max("crashes"))["most"] == 0


def test_a_cold_stop_loses_nothing(
    simulator: Simulator,
    steady: Service,
    queue: Queue,
    fleet_of: Callable[..., Fleet],
    seed: int,
    report: Callable[[Score], Score],
) -> None:
    hand_in(steady, queue, OPERATIONS)
    restarts = restart_while_they_work(fleet_of(app="tests.chaos.cold"), seed, signal.SIGQUIT)
    score = report(scored("restarts, SIGQUIT", OPERATIONS, simulator, kills=restarts))
    assert (score.completed, score.second_effects, score.second_keys) == (OPERATIONS, 0, 0), seed
