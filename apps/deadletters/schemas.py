"""What the API shows of dead letters."""

import datetime as dt
from uuid import UUID

from ninja import Schema


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
    error_type: str
    failure_class: str
    message: str
    fingerprint: str
    repeats: int
    resolution_notes: str
    archive_reason: str
    opened_at: dt.datetime
    resolved_at: dt.datetime | None
    archived_at: dt.datetime | None
