"""Runbook 0's command: reprocess all pending operations (S0-13)."""

import io

import pytest
from django.core.management import CommandError, call_command

from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.operations.conftest import hand_in
from tests.simulator_process import Simulator

pytestmark = pytest.mark.django_db(transaction=True)
LATER = "2999-01-01T00:00:00Z"


def sync(**options: object) -> tuple[str, str, int]:
    """Run the command; return what it says, what it warns of, and its exit code."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("sync_pending_operations", **options, stdout=out, stderr=err)
    except SystemExit as end:
        return out.getvalue(), err.getvalue(), int(end.code or 0)
    return out.getvalue(), err.getvalue(), 0


def completed() -> int:
    return PendingOperation.objects.filter(status="completed").count()


def test_all_pending_operations_go_out_those_that_wait_for_later_too(erp: Service, queue: Queue) -> None:
    hand_in(erp, queue, 3)
    hand_in(erp, queue, 2, due_at=LATER)
    said, _err, code = sync()
    assert (completed(), code) == (5, 0)
    assert "5 completed, 0 failed, 0 still pending." in said


def test_a_dry_run_sends_nothing(erp: Service, queue: Queue, simulator: Simulator) -> None:
    hand_in(erp, queue, 3)
    assert "3 operations would go out now." in sync(dry_run=True)[0]
    assert simulator.requests(service="erp") == []


def test_only_the_named_queue_goes_out(erp: Service, queue: Queue) -> None:
    other = Queue.objects.create(slug="books", name="Books")
    hand_in(erp, queue, 2)
    hand_in(erp, other, 3, due_at=LATER)
    sync(queue="crm")
    assert (completed(), PendingOperation.objects.filter(queue=other, due_at=LATER).count()) == (2, 3)


def test_a_limit_sends_so_many(erp: Service, queue: Queue) -> None:
    hand_in(erp, queue, 5, due_at=LATER)
    _said, _err, code = sync(limit=2)
    assert (completed(), code) == (2, 1)


def test_what_fails_is_told_by_the_exit_code(erp: Service, queue: Queue, simulator: Simulator) -> None:
    simulator.fault("answer", service="erp", status=422)
    hand_in(erp, queue, 2)
    said, _err, code = sync()
    assert ("0 completed, 2 failed" in said, code) == (True, 1)


def test_what_is_held_is_named_with_its_reason(erp: Service, queue: Queue) -> None:
    Queue.objects.filter(pk=queue.pk).update(status="paused")
    hand_in(erp, queue, 2)
    said, err, code = sync()
    assert ("2 still pending" in said, "The queue crm is paused." in err, code) == (True, True, 1)


def test_nothing_to_send_ends_well(queue: Queue) -> None:
    assert sync()[2] == 0


@pytest.mark.parametrize(
    ("options", "said"), [({"queue": "crn"}, "did you mean crm"), ({"limit": 0}, "--limit takes 1")]
)
def test_a_wrong_asking_is_refused(queue: Queue, options: dict[str, object], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        sync(**options)
