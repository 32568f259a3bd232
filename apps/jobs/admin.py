from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from apps.actions.admin import NOTHING, PolicyAdmin, ReadOnly, age, badge
from apps.actions.admin.pages import Told
from apps.actions.running import database_now
from apps.jobs.backlog import backlogs
from apps.jobs.models import Heartbeat, Pausable, Queue, Tenant

# The ticker's own pages carry inline scripts, and a schedule edited there would pass by ours.
for ticking in (ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule):
    admin.site.unregister(ticking)


class PausedColumns:
    """What pages say of a thing that may be paused."""

    @admin.display(description=gettext_lazy("paused"))
    def paused(self, row: Pausable) -> str:
        """Say why it is paused, since when and until when."""
        if not row.paused_at:
            return NOTHING
        words = _("{since}, ends {until}: {reason}") if row.paused_until else _("{since}: {reason}")
        return format_html(words, since=age(row.paused_at), until=age(row.paused_until), reason=row.paused_reason)


@admin.register(Queue)
class QueueAdmin(PausedColumns, PolicyAdmin[Queue]):
    """Queues: how much waits in each, and since when."""

    list_display = ("slug", "state", "name", "waiting", "oldest", "concurrency", "paused", "row_verbs")
    fields = ("slug", "name", "concurrency", "waiting", "oldest", "paused")
    readonly_fields = ("waiting", "oldest", "paused")

    def complete_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        super().complete_rows(request, rows)
        found = backlogs("queue")
        for row in rows:
            row.backlog = found.get(row.pk, (0, None))

    def told(self, request: HttpRequest, row: Queue) -> Told:
        lead = _("Paused: %(reason)s") % {"reason": row.paused_reason} if row.paused_at else ""
        return super().told(request, row) | {"lead": lead}

    @admin.display(description=gettext_lazy("waiting"))
    def waiting(self, row: Queue) -> int:
        return int(_backlog(row)[0])

    @admin.display(description=gettext_lazy("oldest due"))
    def oldest(self, row: Queue) -> str:
        return age(_backlog(row)[1])


@admin.register(Tenant)
class TenantAdmin(PausedColumns, PolicyAdmin[Tenant]):
    """Tenants, and whether their work is carried."""

    list_display = ("slug", "state", "name", "paused", "row_verbs")
    fields = ("slug", "name", "paused")
    readonly_fields = ("paused",)


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


def _backlog(row: Queue) -> Any:
    """Return what waits in a queue; a list asked for all of its rows at once."""
    return getattr(row, "backlog", None) or backlogs("queue").get(row.pk, (0, None))
