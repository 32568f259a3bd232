"""The pages of queues: how much waits in each, and since when."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.admin import PolicyAdmin, age
from apps.actions.admin.pages import Told
from apps.jobs.admin.pausing import PausedColumns
from apps.jobs.backlog import backlogs
from apps.jobs.models import Queue


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


def _backlog(row: Queue) -> Any:
    """Return what waits in a queue; a list asked for all of its rows at once."""
    return getattr(row, "backlog", None) or backlogs("queue").get(row.pk, (0, None))
