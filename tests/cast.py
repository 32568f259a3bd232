"""The demo company: two services, two queues, and operations in every state, moved there the way workers move them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from apps.actions import leases
from apps.actions.actors import Actor, Door
from apps.actions.selections import Selection
from apps.deadletters.models import DeadLetter
from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation

ROOT = Actor(door=Door.COMMAND, name="root", grants=None)
"""Whoever holds the machine: may everything."""
FOUND = {"remote_id": "4711", "remote_url": "", "result": {"id": 4711}}
REFUSED = {"failure_class": "permanent_data", "error_type": "http_422", "last_error": "stage_id: is required"}
UNANSWERED = {"failure_class": "ambiguous", "error_type": "timeout", "last_error": "no answer in 15 s"}
AT_ONCE = 1000
"""As many as workers never end in one transaction, which the database would break off."""


@dataclass(frozen=True)
class Company:
    """What stands in the database of most tests."""

    piperun: Service
    erp: Service
    crm: Queue
    books: Queue
    operations: dict[str, list[PendingOperation]] = field(default_factory=dict)
    """The operations by state; `archived` and `ambiguous` stand beside `failed`, not in it."""

    def operation(self, **columns: Any) -> PendingOperation:
        """Take in one more operation for Piperun, pending unless another status is given."""
        return self.operations_of(1, **columns)[0]

    def operations_of(self, count: int, **columns: Any) -> list[PendingOperation]:
        """Take in many operations alike."""
        return PendingOperation.objects.bulk_create(self.new(**columns) for _ in range(count))

    def failed(self, count: int = 1, **why: Any) -> list[PendingOperation]:
        """Take in operations that were sent and given up, each with its dead letter."""
        return give_up(self.operations_of(count), **why)

    def new(self, **columns: Any) -> PendingOperation:
        """Return an operation for Piperun that is not saved."""
        told = {"service": self.piperun, "queue": self.crm, "operation_type": "deal.create", "entity_type": "deal"}
        return PendingOperation(**told | {"payload": {"title": "Ten chairs"}} | columns)


def take(operations: Iterable[PendingOperation]) -> tuple[int, list[UUID]]:
    """Claim operations as a worker does; return the token and what was claimed."""
    keys = [operation.pk for operation in operations]
    rows = PendingOperation.objects.filter(pk__in=keys, status="pending").order_by("due_at", "id")
    taken = leases.take(PendingOperation.claim, rows, len(keys))
    return (taken[0].token or 0 if taken else 0), [row.pk for row in taken]


def complete(operations: Sequence[PendingOperation]) -> list[PendingOperation]:
    """Deliver operations as a worker does."""
    token, keys = take(operations)
    leases.finish(PendingOperation.complete, dict.fromkeys(keys, FOUND), token)
    return refreshed(operations)


def give_up(operations: Sequence[PendingOperation], **why: Any) -> list[PendingOperation]:
    """Send operations and give them up as a worker does: each leaves a dead letter."""
    token, keys = take(operations)
    told = failing({**REFUSED, **why})
    for first in range(0, len(keys), AT_ONCE):
        leases.finish(PendingOperation.fail, dict.fromkeys(keys[first : first + AT_ONCE], told), token)
    return refreshed(operations)


def failing(why: dict[str, Any]) -> dict[str, Any]:
    """Return what a worker writes of an operation that it gives up after one call."""
    return {"used": 1, "error_fields": {}, **why}


def refreshed(operations: Iterable[PendingOperation]) -> list[PendingOperation]:
    """Return the operations as they stand in the database."""
    return list(PendingOperation.objects.filter(pk__in=[operation.pk for operation in operations]).order_by("pk"))


def letter_of(operation: PendingOperation) -> DeadLetter:
    """Return the dead letter of an operation."""
    return DeadLetter.objects.get(source_id=operation.pk)


def ticked(*operations: PendingOperation) -> Selection:
    """Select operations by their ids."""
    return Selection.ticked(PendingOperation, [operation.pk for operation in operations])


def matching(**filters: str) -> Selection:
    """Select operations by the words of a filter."""
    return Selection.matching(PendingOperation, filters)
