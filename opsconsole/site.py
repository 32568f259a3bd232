"""The one admin site."""

from collections.abc import Callable
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.translation import gettext_lazy as _
from django.views.generic import RedirectView


class ConsoleSite(AdminSite):
    """The one admin site: the stock admin with our name and our look."""

    site_title = _("opsconsole")
    site_header = _("opsconsole")
    index_title = _("Now")
    enable_nav_sidebar = False

    def get_urls(self) -> list[Any]:
        """Add the pages that belong to no noun."""
        from opsconsole import (
            dashboard,
            left_on,
            maintenance_pages,
            picture,
            slow_database,
        )  # the models are read by now

        pages: dict[str, tuple[str, Callable[..., HttpResponseBase]]] = {
            "left-on": ("left-on/", left_on.page),
            # Where people of other consoles look for queues (S3-24).
            "queues": ("queues/", RedirectView.as_view(pattern_name="admin:jobs_queue_changelist")),
            "dashboard": ("dashboard/", dashboard.page),
            "health": ("health/", picture.page),
            "calendar": ("calendar/", maintenance_pages.calendar),
            "report": ("calendar/reports/<uuid:key>/", maintenance_pages.report),
            "database": ("database/", slow_database.running),
            "database-slowest": ("database/slowest/", slow_database.slowest),
            "database-indexes": ("database/indexes/", slow_database.indexes),
        }
        own = [path(where, self.admin_view(view), name=name) for name, (where, view) in pages.items()]
        return [*own, *super().get_urls()]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show how things stand; asked for one part of the page, that part alone."""
        # This module is read before the models are: the site is named in the app's configuration.
        from opsconsole.home import PARTS, home

        if not request.user.has_perm("operations.view_pendingoperation"):
            return super().index(request, extra_context)
        part = request.GET.get("part", "")
        if part and part not in PARTS:
            raise Http404
        if part:
            return TemplateResponse(request, f"home/{part}.html", {"home": home(request, part)})
        return super().index(request, {"home": home(request), **(extra_context or {})})


class ConsoleConfig(AdminConfig):
    """Django's admin, with `ConsoleSite` as its site."""

    default_site = "opsconsole.site.ConsoleSite"
