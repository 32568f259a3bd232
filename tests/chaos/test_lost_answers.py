"""R05: the far end did it and the answer was lost. What stands against doubles decides what happens next."""

from collections.abc import Callable

from apps.actions.running import run
from apps.actions.selections import Selection
from apps.integrations.models import CircuitBreaker, Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.cast import ROOT
from tests.chaos.conftest import PATIENT, deals, hand_in
from tests.chaos.fleet import Fleet, wait_until
from tests.chaos.score import FULL, Score, scored
from tests.operations.conftest import receiver
from tests.simulator_process import Simulator

OPERATIONS = 1_000 if FULL else 300


def lose_answers(simulator: Simulator, service: Service) -> None:
    """Of one call in five; the breaker would see an outage in them, and is told not to."""
    simulator.fault("lose_answer", service=service.slug, method="POST", percent=20)
    CircuitBreaker.objects.filter(service=service).update(failure_threshold=10_000)


def settled() -> bool:
    return not PendingOperation.objects.filter(status__in=["pending", "processing"]).exists()


def test_a_far_end_that_honours_our_key_has_each_effect_once(
    simulator: Simulator, queue: Queue, fleet_of: Callable[..., Fleet], report: Callable[[Score], Score]
) -> None:
    erp = receiver(simulator, **PATIENT)
    lose_answers(simulator, erp)
    hand_in(erp, queue, OPERATIONS)
    PendingOperation.objects.update(max_retries=50)
    fleet_of(nodes=1)
    wait_until(settled)
    score = report(scored("lost answers, key honoured", OPERATIONS, simulator))
    assert (score.completed, score.second_effects, score.second_keys) == (OPERATIONS, 0, 0)
    assert simulator.ledger(service="erp")["totals"]["effects"] == OPERATIONS


def test_a_far_end_that_can_be_asked_has_no_double(
    simulator: Simulator,
    piperun: Service,
    queue: Queue,
    fleet_of: Callable[..., Fleet],
    report: Callable[[Score], Score],
) -> None:
    lose_answers(simulator, piperun)
    deals(piperun, queue, OPERATIONS)
    fleet_of(nodes=1)
    wait_until(settled)
    score = report(scored("lost answers, look first", OPERATIONS, simulator, ["piperun"]))
    assert (score.completed, score.second_effects, score.second_keys) == (OPERATIONS, 0, 0)


def test_where_nothing_stands_against_doubles_each_lost_answer_waits_for_a_person(
    simulator: Simulator, queue: Queue, fleet_of: Callable[..., Fleet], report: Callable[[Score], Score]
) -> None:
    plain = receiver(simulator, "plain", options={}, **PATIENT)
    lose_answers(simulator, plain)
    hand_in(plain, queue, OPERATIONS)
    fleet_of(nodes=1)
    wait_until(settled)
    retried = run(PendingOperation.retry, Selection.matching(PendingOperation, {"status": "failed"}), ROOT)
    score = report(scored("lost answers, nothing against doubles", OPERATIONS, simulator, ["plain"]))
    lost = sum(fault["hits"] for fault in simulator.faults())
    assert (score.ambiguous, score.dead_letters, score.called_twice) == (lost, lost, 0)
    assert retried.moved == 0
