"""What an edited payload meets at a far end over real HTTP, under the key it always had."""

from typing import Any

import pytest

from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations import delivery
from apps.operations.editing import edit_one, version_of
from apps.operations.models import PendingOperation
from tests.cast import ROOT, give_up
from tests.operations.conftest import hand_in
from tests.simulator_process import Simulator

pytestmark = pytest.mark.django_db(transaction=True)


def edited(operation: PendingOperation, payload: dict[str, Any]) -> PendingOperation:
    """Edit an operation and deliver what is due."""
    operation.refresh_from_db()
    edit_one(operation, payload, version_of(operation), ROOT, reason="mended", key=None)
    delivery.drain(operation.queue, seconds=1)
    operation.refresh_from_db()
    return operation


def test_an_edited_payload_takes_effect_once_where_the_first_was_refused(
    simulator: Simulator, erp: Service, queue: Queue
) -> None:
    simulator.fault("answer", service="erp", status=422, body={"message": "n is too small"}, times=1)
    [operation] = hand_in(erp, queue)
    delivery.drain(queue, seconds=0.5)
    assert edited(operation, {"n": 100}).status == "completed"
    assert simulator.ledger(service="erp")["totals"]["effects"] == 1


def test_a_far_end_that_took_the_first_body_refuses_another_and_its_sentence_is_kept(
    simulator: Simulator, erp: Service, queue: Queue
) -> None:
    [first] = hand_in(erp, queue)
    delivery.drain(queue, seconds=1)
    key = first.pk
    first.delete()
    [again] = give_up(hand_in(erp, queue, id=key))  # as if its answer had been read as a refusal
    assert "This key was used with another body" in edited(again, {"n": 100}).last_error
    assert simulator.ledger(service="erp")["totals"]["effects"] == 1
