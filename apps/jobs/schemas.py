"""What the API shows of queues and tenants."""

import datetime as dt
from uuid import UUID

from ninja import Schema


class PausableRow(Schema):
    """Something that people can hold, and why it is held."""

    id: UUID
    slug: str
    name: str
    status: str
    paused_at: dt.datetime | None
    paused_reason: str
    paused_until: dt.datetime | None


class QueueRow(PausableRow):
    """A lane of work."""

    concurrency: int


class TenantRow(PausableRow):
    """A company whose data is carried."""
