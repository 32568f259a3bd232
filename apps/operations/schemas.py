"""What the API of operations is asked and answers. The keys are runbook 0's; what is ours comes beside them."""

import datetime as dt
import re
from typing import Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import BaseModel, ConfigDict, Field

from apps.actions.schemas import AskedOfMany, Leaving, WithHistory, WithPace
from apps.integrations.masking import masked
from apps.operations.editing import version_of
from apps.operations.intake import AT_ONCE, Wanted
from apps.operations.models import PendingOperation


class OperationIn(BaseModel):
    """An operation that another system hands in."""

    model_config = ConfigDict(extra="forbid")

    operation_type: str = Field(max_length=60, examples=["create_deal", "deal.create"])
    payload: dict[str, Any]
    service: str = Field("", max_length=60, description="Without it: the service that knows the type.")
    queue: str = Field("", max_length=60, description="Without it: the queue that bears the service's name.")
    tenant: str = Field("", max_length=60)
    entity_type: str = Field("", max_length=60)
    entity_id: str = Field("", max_length=200)

    def wanted(self) -> Wanted:
        """Return it as intake takes it."""
        return Wanted(**self.model_dump())


class OperationsIn(BaseModel):
    """Operations handed in together: all are taken in, or none."""

    model_config = ConfigDict(extra="forbid")

    operations: list[OperationIn] = Field(min_length=1, max_length=AT_ONCE)


class Accepted(BaseModel):
    """An operation was taken in and is kept. `notes` say what, if anything, keeps it from going out now."""

    id: UUID
    status: str
    operation_type: str
    service: str
    queue: str
    notes: list[str]


class AcceptedMany(BaseModel):
    """Operations were taken in, in the order they came. `notes` say what keeps some of them from going out now."""

    count: int
    ids: list[UUID]
    notes: list[str]


class Counts(BaseModel):
    """How many operations stand where, archived ones left out (S0-8, S0-9). A closed set of keys."""

    pending: int
    processing: int
    completed: int
    failed: int
    total: int


class OperationRow(Leaving):
    """An operation as runbook 0 knows it, and what is ours."""

    id: UUID
    operation_type: str
    type: str
    entity_type: str
    entity_id: str
    payload: dict[str, Any]
    status: str
    retry_count: int
    max_retries: int
    last_error: str
    last_attempt_at: dt.datetime | None
    created_at: dt.datetime
    updated_at: dt.datetime
    completed_at: dt.datetime | None
    due_at: dt.datetime
    service: str
    queue: str
    tenant: str | None
    mapping: str | None
    event_id: UUID | None
    failure_class: str
    error_type: str
    error_fields: dict[str, Any]
    remote_id: str
    remote_url: str
    archived_at: dt.datetime | None

    @staticmethod
    def resolve_operation_type(operation: PendingOperation) -> str:
        """The type in the runbook's spelling: `create_deal` for what we call `deal.create`."""
        return re.sub(r"^(\w+)\.(create|update)$", r"\2_\1", operation.operation_type)

    @staticmethod
    def resolve_type(operation: PendingOperation) -> str:
        """The type in our spelling, the one that filters take."""
        return operation.operation_type

    @staticmethod
    def resolve_payload(operation: PendingOperation) -> dict[str, Any]:
        """What is sent, masked, with the answer of the CRM where there is one."""
        answer = {"_crm_result": operation.result} if operation.result is not None else {}
        shown: dict[str, Any] = masked({**operation.payload, **answer})
        return shown

    @staticmethod
    def resolve_retry_count(operation: PendingOperation) -> int:
        """The attempts made."""
        return operation.attempts

    @staticmethod
    def resolve_service(operation: PendingOperation) -> str:
        """The service by name."""
        return operation.service.slug

    @staticmethod
    def resolve_queue(operation: PendingOperation) -> str:
        """The queue by name."""
        return operation.queue.slug

    @staticmethod
    def resolve_tenant(operation: PendingOperation) -> str | None:
        """The tenant by name, where it has one."""
        return operation.tenant.slug if operation.tenant else None

    @staticmethod
    def resolve_mapping(operation: PendingOperation) -> str | None:
        """The mapping version that made it of an event, such as `leads@3`."""
        return operation.mapping_version.name if operation.mapping_version else None


class AttemptRow(Schema):
    """One call that was made for an operation."""

    at: dt.datetime
    duration_ms: int
    method: str
    url: str
    status: int | None
    failure_class: str
    excerpt: str
    stale: bool

    @staticmethod
    def resolve_status(attempt: Any) -> int | None:
        """What the service answered with."""
        code: int | None = attempt.status_code
        return code


class OperationDetail(OperationRow, WithHistory):
    """An operation with every call that was made for it, newest first (S0-17, S0-29)."""

    attempts: list[AttemptRow]
    version: str = Field(description="What `If-Match` takes when it is edited: another after any move.")

    @staticmethod
    def resolve_version(operation: PendingOperation) -> str:
        """What tells it from itself after any move."""
        return version_of(operation)

    @staticmethod
    def resolve_attempts(operation: PendingOperation) -> list[Any]:
        """The calls."""
        return list(operation.attempt_set.all()[:100])


class Edited(BaseModel):
    """What a failed operation is to be sent as. Masked values that come back as they were shown keep their true ones."""

    model_config = ConfigDict(extra="forbid")

    payload: dict[str, Any]
    reason: str = Field(max_length=2000, description="Why. Kept with the version.")
    dry_run: bool = Field(False, description="Only say what would change.")


class EditedMany(AskedOfMany, WithPace):
    """One rule for the payloads of many failed operations, or of those behind many dead letters."""

    rule: list[dict[str, Any]] = Field(description="A JSON Patch (RFC 6902). A test that fails refuses the row.")
    reason: str = Field(max_length=2000, description="Why. Kept with each version.")
    noun: Literal["pending-operations", "dead-letters"] = Field(
        "pending-operations", description="Whose ids or filter these are."
    )


class ChangeRow(Schema):
    """One place in a payload that changes, masked; null: it is not there."""

    path: str
    before: str | None
    after: str | None


class Changed(BaseModel):
    """What an edit would change."""

    changes: list[ChangeRow]


class SampleRow(BaseModel):
    """One operation that a rule was tried on: what would change, or why it stays."""

    id: UUID
    changes: list[ChangeRow]
    refusal: str


class Tried(BaseModel):
    """What a rule would do: of `moving` rows the first `tried` were tried, and `fits` of them would be edited."""

    total: int
    moving: int
    tried: int
    fits: int
    refusals: dict[str, int]
    samples: list[SampleRow]


class OperationsPage(Schema):
    """A page of operations. `count` is how many stand on it; `next` leads to those behind them."""

    operations: list[OperationRow]
    count: int
    status_filter: str
    limit: int
    offset: int
    next: str | None


class FailedPage(Schema):
    """The failed operations."""

    operations: list[OperationRow]
    count: int


class Processed(BaseModel):
    """What `process` did: so many pending operations are due now. Delivery follows; `action_run` tells how it goes."""

    processed: int
    succeeded: int
    failed: int
    pending_remaining: int
    started_at: dt.datetime
    completed_at: dt.datetime | None
    error: str | None
    action_run: UUID


class RetriedAll(BaseModel):
    """What `retry-all-failed` did: of `total` failed operations `reset` are pending again; their attempts still count."""

    total: int
    reset: int
    succeeded: int
    failed: int
    error: str | None
    action_run: UUID
