"""The page of processes: which run, since when, what each does now, and whether it holds the present secrets (S1-73)."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.admin import NOTHING, ReadOnly, age, badge
from apps.actions.running import database_now
from apps.jobs.fingerprints import SECRETS
from apps.jobs.models import Process
from apps.jobs.processes import told


class ProcessList(ChangeList):
    """A list that looks once at what all processes of a page do now."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        """Fetch a page, and what its processes do."""
        super().get_results(request)
        self.result_list = list(self.result_list)
        for row, found in zip(self.result_list, told(self.result_list, database_now()), strict=True):
            row.told = found


@admin.register(Process)
class ProcessAdmin(ReadOnly, admin.ModelAdmin[Process]):
    """Processes. Who may see the queues may see who works on them."""

    list_display = ("__str__", "kind", "standing", "since_then", "beat", "at_once", "takes", "does", "held", "version")
    list_display_links = None
    fields = ("name", "kind", "node", "since", "beat_at", "concurrency", "version", "restarted_by")
    list_per_page = 100
    actions = None
    sortable_by = ()
    change_list_template = "jobs/processes.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ProcessList

    def has_view_permission(self, request: HttpRequest, obj: Process | None = None) -> bool:
        return request.user.has_perm("jobs.view_queue")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    @admin.display(description=gettext_lazy("state"))
    def standing(self, row: Any) -> SafeString:
        return badge("failed", _("silent")) if row.told.silent else badge("active", _("lives"))

    @admin.display(description=gettext_lazy("since"))
    def since_then(self, row: Process) -> str:
        return age(row.since)

    @admin.display(description=gettext_lazy("last sign of life"))
    def beat(self, row: Process) -> str:
        return age(row.beat_at)

    @admin.display(description=gettext_lazy("at once"))
    def at_once(self, row: Process) -> str:
        return NOTHING if row.concurrency is None else str(row.concurrency)

    @admin.display(description=gettext_lazy("messages it takes"))
    def takes(self, row: Process) -> str:
        return ", ".join(row.queues) or NOTHING

    @admin.display(description=gettext_lazy("does now"))
    def does(self, row: Any) -> str:
        links = ((each.url, each.words) for each in row.told.doing)
        return format_html_join("", '<div><a href="{}">{}</a></div>', links) or NOTHING

    @admin.display(description=gettext_lazy("secrets"))
    def held(self, row: Any) -> str:
        if not row.told.older:
            return _("up to date")
        names = ", ".join(str(SECRETS[name]) for name in row.told.older)
        return format_html("{} {}", badge("warning", _("older")), names)
