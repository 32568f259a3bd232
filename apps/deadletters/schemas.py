"""What the API shows of dead letters."""

import datetime as dt
from uuid import UUID

from ninja import Schema

from apps.actions.schemas import WithHistory
from apps.deadletters import backlog, causes
from apps.deadletters.models import FailureFamily


class DeadLetterRow(Schema):
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
