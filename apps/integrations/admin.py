from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.admin import NOTHING, PolicyAdmin, VerbAdmin, age, badge
from apps.actions.admin.pages import Told, newest_first, told_item
from apps.actions.models import history_of
from apps.integrations.connectors import CONNECTORS
from apps.integrations.credentials import Credential, credential
from apps.integrations.forms import ServiceForm
from apps.integrations.models import ApiKey, CircuitBreaker, Endpoint, Service
from apps.integrations.sites import missing_credentials
from apps.jobs.admin import PausedColumns
from apps.jobs.backlog import backlogs

GUARDED = ("connector", "base_url", "credentials", "allowed_networks")
"""Where our secrets go and which, and what of our own network is reached: only for superusers."""


@admin.register(Service)
class ServiceAdmin(PausedColumns, PolicyAdmin[Service]):
    """Services: does each answer, what holds it, what waits for it (S0-27, S0-28, S0-31, S0-32)."""

    form = ServiceForm
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
    list_display = ("slug", "state", "breaker_state", "waiting", "hold", "probed", "row_verbs")
    list_select_related = ("breaker",)
    readonly_fields = ("breaker_facts", "waiting", "hold", "probed", "secrets", "paused")
    fieldsets = (
        (None, {"fields": ("breaker_facts", "waiting", "hold", "probed", "secrets", "paused")}),
        (gettext_lazy("What it is"), {"fields": ("slug", "name", "connector", "base_url", "credentials", "options")}),
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

    def told(self, request: HttpRequest, row: Service) -> Told:
        missing = " ".join(missing_credentials(row)) if row.connector in CONNECTORS else ""
        return super().told(request, row) | {"lead": missing}

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

    @admin.display(description=gettext_lazy("circuit breaker"))
    def breaker_facts(self, row: Service) -> str:
        breaker = getattr(row, "breaker", None)
        if breaker is None:
            return NOTHING
        url = reverse("admin:integrations_circuitbreaker_change", args=[breaker.pk])
        state = badge(breaker.status, breaker.get_status_display())
        return format_html('{} {} <a href="{}">{}</a>', state, breaker.reason, url, _("thresholds and history"))

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
        return format_html("{} {} {}", good, row.probe_message, age(row.probed_at))

    @admin.display(description=gettext_lazy("where its secrets stand"))
    def secrets(self, row: Service) -> SafeString:
        named = ((word, credential(str(name))) for word, name in row.credentials.items())
        return format_html_join("", "<div>{}: <code>{}</code> {}</div>", ((w, c.name, source_of(c)) for w, c in named))


@admin.register(CircuitBreaker)
class CircuitBreakerAdmin(PolicyAdmin[CircuitBreaker]):
    """Circuit breakers: their thresholds are policy, their state moves by verbs and steps (S1-48 to S1-55)."""

    list_display = ("service", "state", "reason", "failures", "opened", "next_probe", "row_verbs")
    list_select_related = ("service",)
    readonly_fields = ("service", "reason", "failures", "opened", "next_probe")
    fieldsets = (
        (None, {"fields": ("service", "reason", "failures", "opened", "next_probe")}),
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

    @admin.display(description=gettext_lazy("open since"))
    def opened(self, row: CircuitBreaker) -> str:
        return age(row.opened_at)

    @admin.display(description=gettext_lazy("next probe"))
    def next_probe(self, row: CircuitBreaker) -> str:
        return age(row.probe_due_at)


@admin.register(Endpoint)
class EndpointAdmin(PausedColumns, VerbAdmin[Endpoint]):
    """Endpoints: what an event becomes, by which mapping (S1-97, S1-98)."""

    list_display = ("slug", "state", "takes", "service", "operation_type", "row_verbs")
    list_select_related = ("service",)
    fields = ("name", "source", "event_type", "condition", "service", "operation_type", "queue", "paused")

    @admin.display(description=gettext_lazy("takes"))
    def takes(self, row: Endpoint) -> str:
        return f"{row.source or '*'}: {row.event_type}"


@admin.register(ApiKey)
class ApiKeyAdmin(VerbAdmin[ApiKey]):
    """Keys of other systems: made by `manage.py generate_api_key`, closed here."""

    list_display = ("name", "state", "begins", "group", "used", "row_verbs")
    list_select_related = ("group",)
    fields = ("name", "begins", "group", "used", "created_at", "revoked_at", "revoked_reason")

    @admin.display(description=gettext_lazy("begins with"))
    def begins(self, row: ApiKey) -> str:
        return f"{row.prefix}…"

    @admin.display(description=gettext_lazy("last used"))
    def used(self, row: ApiKey) -> str:
        return age(row.last_used_at)


def source_of(secret: Credential) -> str:
    """Say where a secret stands and what its rotation needs. Never the secret itself."""
    if not secret.value:
        return _("is set nowhere")
    if secret.needs_restart:
        return _("stands in the environment: a new one needs a restart")
    return _("stands in a secret file: a new one is read by itself")
