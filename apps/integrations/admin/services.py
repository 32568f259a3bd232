from typing import Any, cast

from django.contrib import admin
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.admin import NOTHING, PolicyAdmin, VerbAdmin, age, badge
from apps.actions.admin.pages import Noun, Told, newest_first, told_item
from apps.actions.models import history_of
from apps.actions.verbs import Acted
from apps.integrations.connectors import CONNECTORS
from apps.integrations.credentials import credential, source_of
from apps.integrations.forms import ServiceForm
from apps.integrations.models import CircuitBreaker, Service
from apps.integrations.panel import panel
from apps.integrations.sites import in_clear, missing_credentials
from apps.jobs.admin import PausedColumns
from apps.jobs.backlog import backlogs

GUARDED = ("connector", "base_url", "credentials", "allowed_networks")
"""Where our secrets go and which, and what of our own network is reached: only for superusers."""


class BreakerPages(PolicyAdmin[Noun]):
    """Pages on which a circuit breaker is read and handled: one part of them moves."""

    change_form_template = "integrations/breaker.html"

    def breaker_of(self, row: Noun) -> CircuitBreaker | None:
        """Return the breaker that the page of a row tells of."""
        raise NotImplementedError

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Told | None = None
    ) -> HttpResponse:
        """Show the page; asked by its own moving part, answer with that part alone."""
        if request.headers.get("HX-Target") != "breaker-live":
            return super().change_view(request, object_id, form_url, extra_context)
        row = self.get_object(request, object_id)
        if row is None or not self.has_view_permission(request, row):
            raise Http404
        told = self.told_panel(request, row) | {"verbs": self.offered(request, row)}
        return render(request, "integrations/breaker_live.html", told)

    def told(self, request: HttpRequest, row: Noun) -> Told:
        return super().told(request, row) | self.told_panel(request, row)

    def told_panel(self, request: HttpRequest, row: Noun) -> Told:
        """Return what the moving part shows; nothing where there is no breaker, or none that the reader may see."""
        breaker = self.breaker_of(row)
        seen = breaker is not None and request.user.has_perm("integrations.view_circuitbreaker")
        return {"panel": panel(breaker) if breaker and seen else None}

    def offered_of(self, request: HttpRequest, row: Acted, *names: str) -> list[Told]:
        """Return verbs of the other half, the service or its breaker, that lead back to this page."""
        pages = cast("VerbAdmin[Any]", admin.site.get_model_admin(type(row)))
        own = VerbAdmin.offered(pages, request, row)  # without what it borrows from us in its turn
        return [verb for verb in own if verb["name"] in names]


@admin.register(Service)
class ServiceAdmin(PausedColumns, BreakerPages[Service]):
    """Services: does each answer, what holds it, what waits for it (S0-27, S0-28, S0-31, S0-32)."""

    form = ServiceForm
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
    list_display = ("slug", "state", "breaker_state", "waiting", "hold", "probed", "row_verbs")
    list_select_related = ("breaker",)
    readonly_fields = ("secrets", "paused")
    fieldsets = (
        (None, {"fields": ("secrets", "paused")}),
        (
            gettext_lazy("What it is"),
            {"fields": ("slug", "name", "aliases", "connector", "base_url", "credentials", "options")},
        ),
        (
            gettext_lazy("How fast, how patiently"),
            {
                "fields": (
                    ("rate_per_second", "burst", "max_in_flight"),
                    ("connect_seconds", "deadline_seconds"),
                    ("max_retries", "backoff_base_seconds", "backoff_cap_seconds"),
                )
            },
        ),
        (gettext_lazy("What it may reach"), {"classes": ("collapse",), "fields": ("allowed_networks",)}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Service | None = None) -> Any:
        guarded = () if request.user.is_superuser else GUARDED
        return (*super().get_readonly_fields(request, obj), *guarded)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser) and super().has_add_permission(request)

    def complete_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        super().complete_rows(request, rows)
        found = backlogs("service")
        for row in rows:
            row.backlog = found.get(row.pk, (0, None))

    def breaker_of(self, row: Service) -> CircuitBreaker | None:
        return CircuitBreaker.objects.select_related("service").filter(service=row).first()

    def offered(self, request: HttpRequest, row: Service) -> list[Told]:
        """Its own verbs, and those of its breaker."""
        breaker = self.breaker_of(row)
        return super().offered(request, row) + (
            self.offered_of(request, breaker, "reset", "force_open") if breaker else []
        )

    def told(self, request: HttpRequest, row: Service) -> Told:
        missing = " ".join(missing_credentials(row)) if row.connector in CONNECTORS else ""
        return super().told(request, row) | {"lead": missing or in_clear(row)}

    def timeline(self, row: Service) -> list[Told]:
        """Its own history and its breaker's."""
        breaker = getattr(row, "breaker", None)
        moves = history_of(breaker.pk)[:100] if breaker else ()
        told = [told_item(CircuitBreaker, item) for item in moves]
        named = [{**each, "label": _("Breaker: %(step)s") % {"step": each["label"]}} for each in told]
        return newest_first([*super().timeline(row), *named])

    @admin.display(description=gettext_lazy("circuit breaker"))
    def breaker_state(self, row: Service) -> SafeString | None:
        breaker = getattr(row, "breaker", None)
        return badge(breaker.status, breaker.get_status_display()) if breaker else None

    @admin.display(description=gettext_lazy("waiting"))
    def waiting(self, row: Service) -> int:
        backlog = getattr(row, "backlog", None) or backlogs("service").get(row.pk, (0, None))
        return int(backlog[0])

    @admin.display(description=gettext_lazy("held"))
    def hold(self, row: Service) -> str:
        return format_html("{} {}", age(row.waits_until), row.waits_because) if row.waits_until else NOTHING

    @admin.display(description=gettext_lazy("last probe"))
    def probed(self, row: Service) -> str:
        if row.probe_asked_at and (row.probed_at is None or row.probed_at < row.probe_asked_at):
            return _("asked, the answer is on its way")
        if row.probed_at is None:
            return NOTHING
        good = badge("completed" if row.probe_ok else "failed", _("answers") if row.probe_ok else _("fails"))
        return format_html("{} {} {}", good, row.probe_said, age(row.probed_at))

    @admin.display(description=gettext_lazy("where its secrets stand"))
    def secrets(self, row: Service) -> SafeString:
        named = ((word, credential(str(name))) for word, name in row.credentials.items())
        return format_html_join("", "<div>{}: <code>{}</code> {}</div>", ((w, c.name, source_of(c)) for w, c in named))


@admin.register(CircuitBreaker)
class CircuitBreakerAdmin(BreakerPages[CircuitBreaker]):
    """Circuit breakers: their thresholds are policy, their state moves by verbs and steps (S1-48 to S1-55)."""

    list_display = ("service", "state", "reason", "failures", "opened", "next_probe", "row_verbs")
    list_select_related = ("service",)
    readonly_fields = ("service", "failures")
    fieldsets = (
        (None, {"fields": ("service", "failures")}),
        (
            gettext_lazy("Thresholds"),
            {"fields": ("failure_threshold", "window_seconds", "timeout_seconds", "timeout_cap_seconds")},
        ),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Every service gets its own by itself."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: CircuitBreaker | None = None) -> bool:
        """Without a breaker no call goes out."""
        return False

    def breaker_of(self, row: CircuitBreaker) -> CircuitBreaker | None:
        return row

    def offered(self, request: HttpRequest, row: CircuitBreaker) -> list[Told]:
        """Its own verbs, and the probe of its service."""
        return super().offered(request, row) + self.offered_of(request, row.service, "probe")

    @admin.display(description=gettext_lazy("open since"))
    def opened(self, row: CircuitBreaker) -> str:
        return age(row.opened_at)

    @admin.display(description=gettext_lazy("next probe"))
    def next_probe(self, row: CircuitBreaker) -> str:
        return age(row.probe_due_at)
