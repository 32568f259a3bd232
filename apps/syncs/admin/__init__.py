"""The pages of syncs, of the records they brought, and of those they could not take in."""

from apps.syncs.admin.records import CustomerAdmin, OrderAdmin, ProductAdmin
from apps.syncs.admin.rejected import RejectedRecordAdmin
from apps.syncs.admin.syncs import SyncAdmin

__all__ = ["CustomerAdmin", "OrderAdmin", "ProductAdmin", "RejectedRecordAdmin", "SyncAdmin"]
