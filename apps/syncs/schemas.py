"""What the API shows of syncs and what they brought. E-mail addresses and phones are masked, as on the pages."""

import datetime as dt
from decimal import Decimal
from typing import Any
from uuid import UUID

from ninja import Schema
from pydantic import BaseModel, ConfigDict, Field

from apps.actions.schemas import WithHistory
from apps.integrations.masking import masked, masked_text
from apps.syncs.models import Customer, Order, RejectedRecord, Sync, SyncCursor, TenantRecord


class CursorRow(Schema):
    """How far one kind of record has come."""

    entity: str
    watermark: dict[str, Any]
    position: dict[str, Any] | None
    passed_at: dt.datetime | None = Field(description="When it was last read whole.")
    counts: dict[str, int]
    last_error: str


class SyncRow(Schema):
    """From where a job reads, for whom."""

    id: UUID
    job: str
    tenant: str
    service: str
    status: str
    paused_at: dt.datetime | None
    paused_reason: str
    paused_until: dt.datetime | None

    @staticmethod
    def resolve_job(row: Sync) -> str:
        """Return the job's short name."""
        return row.job.slug

    @staticmethod
    def resolve_tenant(row: Sync) -> str:
        """Return the tenant's short name; empty between our own systems."""
        return row.tenant.slug if row.tenant else ""

    @staticmethod
    def resolve_service(row: Sync) -> str:
        """Return the name of the service that is read."""
        return row.service.slug


class SyncDetail(SyncRow, WithHistory):
    """The same, with how far it has come."""

    cursors: list[CursorRow]

    @staticmethod
    def resolve_cursors(row: Sync) -> list[SyncCursor]:
        """Return its cursors."""
        return list(row.cursors.order_by("entity"))


class RejectedRecordRow(Schema):
    """A record that could not be taken in."""

    id: UUID
    job: str
    tenant: str
    entity: str
    code: str
    status: str
    error: str
    error_fields: dict[str, Any]
    failure_class: str
    attempts: int
    created_at: dt.datetime
    failed_at: dt.datetime | None

    @staticmethod
    def resolve_job(row: RejectedRecord) -> str:
        """Return the job's short name."""
        return row.job.slug

    @staticmethod
    def resolve_tenant(row: RejectedRecord) -> str:
        """Return the tenant's short name; empty between our own systems."""
        return row.tenant.slug if row.tenant else ""

    @staticmethod
    def resolve_error(row: RejectedRecord) -> str:
        """Return why."""
        return row.last_error


class RejectedRecordDetail(RejectedRecordRow, WithHistory):
    """The same, with what came, masked."""

    told: Any

    @staticmethod
    def resolve_told(row: RejectedRecord) -> Any:
        """Return it masked."""
        return masked(row.told)


class RecordRow(Schema):
    """What all records have."""

    id: UUID
    tenant: str
    code: str
    revision: int
    created_at: dt.datetime
    changed_at: dt.datetime

    @staticmethod
    def resolve_tenant(row: TenantRecord) -> str:
        """Return the tenant's short name."""
        return row.tenant.slug


class CustomerRow(RecordRow):
    """A tenant's customer."""

    name: str
    email: str
    phone: str
    born_on: dt.date | None
    city: str
    state: str
    registered_at: dt.datetime | None

    @staticmethod
    def resolve_email(row: Customer) -> str:
        """Return it masked."""
        return masked_text(row.email)

    @staticmethod
    def resolve_phone(row: Customer) -> str:
        """Return it masked."""
        return masked_text(row.phone)


class ProductRow(RecordRow):
    """A product of a tenant's catalogue."""

    name: str
    category: str
    price: Decimal | None
    active: bool


class OrderRow(RecordRow):
    """A paid order."""

    customer_email: str
    ordered_at: dt.datetime
    total: Decimal
    channel: str
    state: str
    items: list[dict[str, Any]]

    @staticmethod
    def resolve_customer_email(row: Order) -> str:
        """Return it masked."""
        return masked_text(row.customer_email)


class ResyncAsked(BaseModel):
    """From which day, and why; or only a look."""

    model_config = ConfigDict(extra="forbid")

    since: str = Field(examples=["2026-01-31"])
    reason: str = Field("", max_length=2000, description="Why.")
    dry_run: bool = False


class ReadAgain(BaseModel):
    """What would be read again of one kind of record."""

    entity: str
    known: int = Field(description="Records known that changed since then.")
    position: dict[str, Any] | None = Field(description="Where it would begin; null: it goes on where it stands.")


class Resynced(BaseModel):
    """What is, or would be, read again."""

    message: str
    action_run: UUID | None
    records: list[ReadAgain]
