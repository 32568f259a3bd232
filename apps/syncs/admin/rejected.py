"""The pages of rejected records: what came, why it could not be taken in, and the one button that asks for it again."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.admin import NOTHING, VerbAdmin, age
from apps.actions.admin.pages import Told, line
from apps.deadletters.admin import FailingColumns
from apps.integrations.masking import masked
from apps.syncs.models import RejectedRecord


@admin.register(RejectedRecord)
class RejectedRecordAdmin(FailingColumns, VerbAdmin[RejectedRecord]):
    """Records that could not be taken in: each stopped no other, and waits here."""

    list_display = ("record", "state", "job", "tenant", "error", "rejected", "row_verbs")
    list_select_related = ("job", "tenant")
    search_help_text = gettext_lazy("Words of the error, or the whole code.")
    fieldsets = (
        (None, {"fields": ("error", "failure", "by_field", "settled", "letter")}),
        (gettext_lazy("What it is"), {"fields": ("entity", "code", "sync_link", "first", "rejected", "tries", "due")}),
        (
            gettext_lazy("Who holds it"),
            {"classes": ("collapse",), "fields": ("worker", "lease_until", "token", "crashes")},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("job", "tenant", "sync__job", "sync__tenant")

    def told(self, request: HttpRequest, row: RejectedRecord) -> Told:
        return super().told(request, row) | {"lead": self._lead(row), "payload": masked(row.told)}

    def _lead(self, row: RejectedRecord) -> str:
        if row.archived_at:
            return _("Archived: %(reason)s") % {"reason": row.archive_reason}
        if row.status == RejectedRecord.Status.PENDING and row.attempts:
            return _("It is asked for again by itself. Last time: %(error)s") % {"error": line(row.last_error)}
        return line(row.last_error)

    @admin.display(description=gettext_lazy("record"))
    def record(self, row: RejectedRecord) -> str:
        return str(row)

    @admin.display(description=gettext_lazy("error"))
    def error(self, row: RejectedRecord) -> str:
        return line(row.last_error) or NOTHING

    @admin.display(description=gettext_lazy("sync"))
    def sync_link(self, row: RejectedRecord) -> str:
        return format_html('<a href="{}">{}</a>', reverse("admin:syncs_sync_change", args=[row.sync_id]), row.sync)

    @admin.display(description=gettext_lazy("first rejected"))
    def first(self, row: RejectedRecord) -> str:
        return age(row.created_at)

    @admin.display(description=gettext_lazy("rejected"))
    def rejected(self, row: RejectedRecord) -> str:
        return age(row.failed_at)

    @admin.display(description=gettext_lazy("attempts"))
    def tries(self, row: RejectedRecord) -> int:
        return row.attempts

    @admin.display(description=gettext_lazy("due"))
    def due(self, row: RejectedRecord) -> str:
        return age(row.due_at) if row.status == RejectedRecord.Status.PENDING else NOTHING
