"""What the API shows of dead letters."""

import datetime as dt
from typing import Any
from uuid import UUID

from ninja import Schema
from pydantic import BaseModel, ConfigDict, Field

from apps.actions.schemas import Leaving, WithHistory
from apps.deadletters import backlog, causes
from apps.deadletters.inbox import source_of
from apps.deadletters.models import DeadLetter, FailureFamily


class DeadLetterRow(Leaving):
    """Work that was given up on, and the source it follows."""

    id: UUID
    status: str
    source_kind: str
    source_id: UUID
    title: str
    service: str
    tenant: str
    entity_type: str
    entity_id: str
    source_system: str
    error_type: str
    failure_class: str
    message: str
    fingerprint: str
    attempts: int
    repeats: int
    resolution_notes: str
    archive_reason: str
    opened_at: dt.datetime
    resolved_at: dt.datetime | None
    archived_at: dt.datetime | None


class FailureFamilyRow(Schema):
    """Dead letters that failed alike; `GET /api/dead-letters?family={fingerprint}` lists them."""

    id: UUID
    status: str
    fingerprint: str
    source_kind: str
    title: str
    service: str
    error_type: str
    failure_class: str
    message: str
    owner: str
    note: str
    ticket_url: str
    ignored_until: dt.datetime | None
    resolution_note: str
    resolved_at: dt.datetime | None
    first_seen_at: dt.datetime
    regressed_at: dt.datetime | None
    regressions: int


class FailureFamilyDetail(FailureFamilyRow, WithHistory):
    """A family with its counts, and the run that worked last time."""

    counts: dict[str, int]
    services: dict[str, int]
    tenants: dict[str, int]
    last_seen_at: dt.datetime | None
    worked_last_time: UUID | None

    @staticmethod
    def resolve_counts(family: FailureFamily) -> dict[str, int]:
        """How many of its dead letters stand in each state."""
        return backlog.of_families([family.fingerprint]).get(family.fingerprint, {})

    @staticmethod
    def resolve_services(family: FailureFamily) -> dict[str, int]:
        """Which services its unresolved ones touch."""
        return dict(backlog.touched(family.fingerprint, "service"))

    @staticmethod
    def resolve_tenants(family: FailureFamily) -> dict[str, int]:
        """Which tenants its unresolved ones touch."""
        return dict(backlog.touched(family.fingerprint, "tenant"))

    @staticmethod
    def resolve_last_seen_at(family: FailureFamily) -> dt.datetime | None:
        """When the newest was given up."""
        return causes.last_seen([family]).get(family.fingerprint)

    @staticmethod
    def resolve_worked_last_time(family: FailureFamily) -> UUID | None:
        """The newest run over the whole family that ended with confirmed rows."""
        run = causes.worked_last_time(family)
        return run.pk if run else None


class DlqItem(Schema):
    """A dead letter in the words of runbooks 1 and 4 (S1-43, S4-58), and what is ours.

    For work that is no event, `event_id` is the source's id and `event_type` its kind: `deal.create`.
    """

    id: UUID
    event_id: UUID
    event_type: str
    source_system: str
    reason: str
    created_at: dt.datetime
    entity_type: str
    entity_id: str
    service: str
    error_type: str
    failure_class: str
    status: str
    repeats: int
    resolved: bool
    resolved_at: dt.datetime | None
    resolution_notes: str

    @staticmethod
    def resolve_event_id(letter: DeadLetter) -> UUID:
        """The id of what failed."""
        return letter.source_id

    @staticmethod
    def resolve_event_type(letter: DeadLetter) -> str:
        """What it was."""
        return letter.title

    @staticmethod
    def resolve_reason(letter: DeadLetter) -> str:
        """The error."""
        return letter.message

    @staticmethod
    def resolve_created_at(letter: DeadLetter) -> dt.datetime:
        """When it was given up, the last time: before us each time made an item of its own."""
        return letter.opened_at

    @staticmethod
    def resolve_resolved(letter: DeadLetter) -> bool:
        """Whether it is settled."""
        return letter.status == DeadLetter.Status.RESOLVED


class DlqMeta(Schema):
    """Where a page lies."""

    current_page: int
    last_page: int
    per_page: int
    total: int


class DlqPage(Schema):
    """A page of dead letters, the newest first."""

    data: list[DlqItem]
    meta: DlqMeta


class DlqEvent(Schema):
    """What failed, its payload masked; null where it is no longer kept."""

    event_type: str
    source_system: str
    payload: Any
    created_at: dt.datetime | None


class DlqDetail(DlqItem):
    """A dead letter with its source."""

    event: DlqEvent

    @staticmethod
    def resolve_event(letter: DeadLetter) -> dict[str, Any]:
        """Look the source up."""
        source = source_of(letter)
        told = {"payload": source.payload, "created_at": source.created_at} if source else {}
        system = {"event_type": letter.title, "source_system": letter.source_system}
        return {"payload": None, "created_at": None, **system, **told}


class DlqShown(Schema):
    """One dead letter."""

    data: DlqDetail


class DlqStats(Schema):
    """How many are unresolved or retrying: the `dead_letter` of `/status`."""

    total: int
    last_24h: int
    last_7d: int
    by_type: dict[str, int]


class DlqNote(BaseModel):
    """What may be said of a retry, a resolution or a restoration."""

    model_config = ConfigDict(extra="forbid")

    note: str = Field("", max_length=2000)


class DlqReason(BaseModel):
    """Why a dead letter is put away; the runbook's call says nothing, and works."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", max_length=2000)


class DlqDone(BaseModel):
    """A verb on one dead letter was done."""

    message: str
    event_id: UUID
    status: str = Field(description="Where the dead letter stands now.")
    action_run: UUID


class DlqRetriedAll(BaseModel):
    """What was sent on its way again: `retried` of the `total` that were asked for."""

    message: str
    retried: int
    total: int
    action_run: UUID


class DlqResolved(BaseModel):
    """What the rule resolved, or would resolve."""

    message: str
    resolved: int
    total: int
    action_run: UUID | None
