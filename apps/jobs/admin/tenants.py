"""The pages of tenants."""

from django.contrib import admin

from apps.actions.admin import PolicyAdmin
from apps.jobs.admin.pausing import PausedColumns
from apps.jobs.models import Tenant


@admin.register(Tenant)
class TenantAdmin(PausedColumns, PolicyAdmin[Tenant]):
    """Tenants, and whether their work is carried."""

    list_display = ("slug", "state", "name", "paused", "row_verbs")
    fields = ("slug", "name", "paused")
    readonly_fields = ("paused",)
