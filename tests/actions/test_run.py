from apps.actions.actors import Actor
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.operations.models import PendingOperation
from tests.cast import Company, letter_of


def test_retry_sends_a_failed_operation_on_its_way(company: Company, as_ana: Actor) -> None:
    (first, _second) = company.operations["failed"]
    record = run(PendingOperation.retry, Selection.ticked(PendingOperation, [first.pk]), as_ana)
    first.refresh_from_db()
    assert (first.status, record.moved, letter_of(first).status) == ("pending", 1, "retrying")
