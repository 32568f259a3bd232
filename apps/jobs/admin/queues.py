"""The pages of queues: how much waits, how fast it comes and goes, who is at it, and what to do where one grows."""

from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.admin import NOTHING, PolicyAdmin, age, line
from apps.actions.admin.pages import Told
from apps.actions.running import database_now
from apps.jobs.admin.pausing import PausedColumns
from apps.jobs.lanes import Standing, standings
from apps.jobs.models import Queue
from apps.jobs.panel import drain_words, growing, panel, places_words, rate_words


@admin.register(Queue)
class QueueAdmin(PausedColumns, PolicyAdmin[Queue]):
    """Queues: `/admin/queues` leads here, as people of other consoles expect (S3-24)."""

    list_display = (
        *("slug", "state", "waiting", "oldest", "pace", "drained", "at_work", "paused", "error", "row_verbs"),
    )
    fieldsets = (
        (None, {"fields": ("paused",)}),
        (gettext_lazy("What it is"), {"fields": ("slug", "name")}),
        (gettext_lazy("How much at once"), {"fields": ("concurrency",)}),
        (gettext_lazy("It grows above"), {"fields": (("most_waiting", "longest_wait_seconds"),)}),
    )
    readonly_fields = ("paused",)
    change_list_template = "jobs/queues.html"
    change_form_template = "jobs/queue.html"

    def changelist_view(self, request: HttpRequest, extra_context: Told | None = None) -> HttpResponse:
        """Show the list, with the verbs for all queues at once."""
        whole = [
            {"label": label, "url": self.verb_url(self.verbs[name], filters={"status": status})}
            for name, status, label in (
                ("pause", Queue.Status.ACTIVE, _("Pause all")),
                ("resume", Queue.Status.PAUSED, _("Resume all")),
            )
            if name in self.permitted(request)
        ]
        response = super().changelist_view(request, {"whole": whole, **(extra_context or {})})
        if isinstance(response, TemplateResponse) and response.context_data:
            rows = response.context_data["cl"].result_list
            response.context_data["growing"] = growing([row.found for row in rows if hasattr(row, "found")])
        return response

    def complete_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        super().complete_rows(request, rows)
        found = standings(rows, database_now())
        for row in rows:
            row.found = found[row.pk]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Told | None = None
    ) -> HttpResponse:
        """Show the page; asked by its own moving part, answer with that part alone."""
        if request.headers.get("HX-Target") != "queue-live":
            return super().change_view(request, object_id, form_url, extra_context)
        row = self.get_object(request, object_id)
        if row is None or not self.has_view_permission(request, row):
            raise Http404
        return render(request, "jobs/queue_live.html", self.told(request, row))

    def told(self, request: HttpRequest, row: Queue) -> Told:
        return super().told(request, row) | {"panel": panel(row, database_now())}

    @admin.display(description=gettext_lazy("waiting"))
    def waiting(self, row: Any) -> int:
        return int(_found(row).waiting)

    @admin.display(description=gettext_lazy("oldest due"))
    def oldest(self, row: Any) -> str:
        return age(_found(row).since)

    @admin.display(description=gettext_lazy("per minute"))
    def pace(self, row: Any) -> str:
        lane = _found(row).lane
        return _("%(came)s in, %(went)s out") % {"came": rate_words(lane.came), "went": rate_words(lane.went)}

    @admin.display(description=gettext_lazy("all out in"))
    def drained(self, row: Any) -> str:
        return drain_words(_found(row))

    @admin.display(description=gettext_lazy("workers at it"))
    def at_work(self, row: Any) -> str:
        return places_words(_found(row))

    @admin.display(description=gettext_lazy("last error"))
    def error(self, row: Any) -> str:
        lane = _found(row).lane
        return format_html("{} {}", age(lane.error_at), line(lane.error)) if lane.error else NOTHING


def _found(row: Any) -> Standing:
    found: Standing = row.found
    return found
