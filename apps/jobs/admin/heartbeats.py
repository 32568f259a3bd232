"""The pages of what must run at intervals."""

from django.contrib import admin
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.admin import ReadOnly, age, badge
from apps.actions.running import database_now
from apps.jobs.models import Heartbeat


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnly, admin.ModelAdmin[Heartbeat]):
    """What must run at intervals, and when it last did."""

    list_display = ("name", "standing", "every", "beat")
    fields = list_display
    actions = None

    @admin.display(description=gettext_lazy("state"))
    def standing(self, row: Heartbeat) -> str:
        silent = row.silent_at(database_now())
        return badge("failed" if silent else "completed", _("silent") if silent else _("beats"))

    @admin.display(description=gettext_lazy("every"))
    def every(self, row: Heartbeat) -> str:
        return _("%(seconds)s s") % {"seconds": row.interval_seconds}

    @admin.display(description=gettext_lazy("last beat"))
    def beat(self, row: Heartbeat) -> str:
        return age(row.beat_at)
