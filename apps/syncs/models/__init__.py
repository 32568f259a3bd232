"""Syncs and how far they are, the records they brought, and those that could not be taken in."""

from apps.syncs.models.record import Customer, Order, PassedOn, Product, Record, TenantRecord
from apps.syncs.models.rejected import RejectedRecord
from apps.syncs.models.sync import Sync, SyncCursor

__all__ = [
    "Customer", "Order", "PassedOn", "Product", "Record", "RejectedRecord", "Sync", "SyncCursor", "TenantRecord",
]  # fmt: skip
