"""What a drain does with what comes back, against a far end over real HTTP."""

import pytest

from apps.deadletters.models import DeadLetter
from apps.integrations.models import CircuitBreaker, Service
from apps.jobs.models import Queue
from apps.operations import delivery
from apps.operations.models import Attempt, PendingOperation
from tests.operations.conftest import hand_in, receiver
from tests.simulator_process import Simulator

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_is_due_reaches_its_service_once(simulator: Simulator, erp: Service, queue: Queue) -> None:
    hand_in(erp, queue, 30)
    assert delivery.drain(queue, seconds=5) == {"complete": 30}
    assert simulator.ledger(service="erp")["totals"]["effects"] == 30


def test_a_completed_operation_keeps_its_attempt(erp: Service, queue: Queue) -> None:
    [operation] = hand_in(erp, queue)
    delivery.drain(queue, seconds=5)
    operation.refresh_from_db()
    assert (operation.status, operation.attempts, operation.token) == ("completed", 1, None)
    assert list(operation.attempt_set.values_list("status_code", "stale")) == [(201, False)]


def test_what_is_not_due_yet_stays(erp: Service, queue: Queue) -> None:
    [operation] = hand_in(erp, queue, due_at="2999-01-01T00:00:00Z")
    assert delivery.drain(queue, seconds=1) == {}
    operation.refresh_from_db()
    assert operation.status == "pending"


def test_a_transient_failure_is_due_again_later(simulator: Simulator, erp: Service, queue: Queue) -> None:
    simulator.fault("answer", service="erp", status=503)
    [operation] = hand_in(erp, queue)
    delivery.drain(queue, seconds=0.5)
    operation.refresh_from_db()
    assert (operation.status, operation.attempts, operation.failure_class) == ("pending", 1, "transient")
    assert PendingOperation.objects.get(due_at__gt=operation.last_attempt_at)


def test_a_refused_value_is_given_up_with_a_dead_letter(simulator: Simulator, erp: Service, queue: Queue) -> None:
    simulator.fault("answer", service="erp", status=422, body={"message": "stage_id is missing"})
    [operation] = hand_in(erp, queue)
    assert delivery.drain(queue, seconds=0.5) == {"fail": 1}
    letter = DeadLetter.objects.get(source_id=operation.pk)
    assert (letter.status, letter.failure_class, letter.error_type) == ("unresolved", "permanent_data", "HTTP 422")


def test_the_last_attempt_gives_up(simulator: Simulator, erp: Service, queue: Queue) -> None:
    simulator.fault("answer", service="erp", status=503)
    hand_in(erp, queue, attempts=9)
    assert delivery.drain(queue, seconds=0.5) == {"fail": 1}


def test_429_holds_the_service_and_uses_no_attempt(simulator: Simulator, erp: Service, queue: Queue) -> None:
    simulator.fault("rate_limit", service="erp", wait_seconds=60, times=1)
    [operation] = hand_in(erp, queue)
    delivery.drain(queue, seconds=0.5)
    operation.refresh_from_db()
    erp.refresh_from_db()
    assert (operation.status, operation.attempts) == ("pending", 0)
    assert erp.waits_until


def test_a_refused_credential_opens_the_breaker_at_once(simulator: Simulator, erp: Service, queue: Queue) -> None:
    simulator.fault("answer", service="erp", status=401)
    hand_in(erp, queue)
    delivery.drain(queue, seconds=0.5)
    assert CircuitBreaker.objects.get(service=erp).status == "open"


def test_an_open_breaker_burns_no_attempts(simulator: Simulator, erp: Service, queue: Queue) -> None:
    simulator.outage("erp")
    hand_in(erp, queue, 50)
    delivery.drain(queue, seconds=1)
    before = Attempt.objects.count()
    delivery.drain(queue, seconds=1)
    assert CircuitBreaker.objects.get(service=erp).status == "open"
    assert Attempt.objects.count() == before


def test_a_lost_answer_where_nothing_stands_against_doubles_goes_to_a_person(
    simulator: Simulator, queue: Queue
) -> None:
    plain = receiver(simulator, "plain", options={})
    simulator.fault("lose_answer", service="plain")
    [operation] = hand_in(plain, queue)
    delivery.drain(queue, seconds=0.5)
    operation.refresh_from_db()
    assert (operation.status, operation.failure_class) == ("failed", "ambiguous")
    assert operation.called_at


def test_a_lost_answer_is_repeated_under_the_same_key(simulator: Simulator, erp: Service, queue: Queue) -> None:
    simulator.fault("lose_answer", service="erp", times=1)
    [operation] = hand_in(erp, queue)
    delivery.drain(queue, seconds=0.5)
    PendingOperation.objects.update(due_at="2000-01-01T00:00:00Z")
    delivery.drain(queue, seconds=0.5)
    operation.refresh_from_db()
    totals = simulator.ledger(service="erp")["totals"]
    assert (operation.status, totals["effects"], totals["calls"]) == ("completed", 1, 2)


def test_a_paused_queue_is_left_alone(erp: Service, queue: Queue) -> None:
    hand_in(erp, queue, 3)
    Queue.objects.update(status="paused")
    assert delivery.drain(queue, seconds=0.5) == {}


def test_a_broken_service_does_not_starve_another(simulator: Simulator, erp: Service, queue: Queue) -> None:
    broken = receiver(simulator, "broken", deadline_seconds=1)
    simulator.fault("hang", service="broken")
    hand_in(broken, queue, 20)
    hand_in(erp, queue, 20)
    score = delivery.drain(queue, seconds=0.5)
    assert score["complete"] == 20
