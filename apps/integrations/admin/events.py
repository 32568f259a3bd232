"""The pages of events and their sources. `admin.py` imports them, so that Django finds them."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.actions.admin import NOTHING, PolicyAdmin, VerbAdmin, age, badge
from apps.actions.admin.pages import Told, line, newest_first
from apps.deadletters.admin import FailingColumns
from apps.integrations import catalogue, doors
from apps.integrations.catalogue import Made
from apps.integrations.credentials import credential, source_of
from apps.integrations.forms import EventSourceForm
from apps.integrations.models import EventSource, IntegrationEvent
from apps.integrations.models.event import UNREADABLE, Scheme
from apps.integrations.proofs import BadSecret, check_secret
from apps.jobs.admin import PausedColumns

GUARDED_OF_SOURCES = ("scheme", "signature_required", "credentials", "allowed_networks")
"""What decides who may tell us events: only for superusers."""


@admin.register(EventSource)
class EventSourceAdmin(PausedColumns, PolicyAdmin[EventSource]):
    """Event sources: by which door each comes, how it proves itself, and what was turned away there."""

    form = EventSourceForm
    change_form_template = "integrations/source.html"
    list_display = ("slug", "state", "name", "scheme", "secrets", "turned_away", "paused", "row_verbs")
    readonly_fields = ("door", "secrets", "paused")
    fieldsets = (
        (None, {"fields": ("door", "secrets", "paused")}),
        (
            gettext_lazy("What it is"),
            {"fields": ("slug", "name", "ordered", "max_bytes", "places", "cloudevents_source")},
        ),
        (
            gettext_lazy("How it proves itself"),
            {"fields": ("scheme", "signature_required", "credentials", "allowed_networks")},
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: EventSource | None = None) -> Any:
        guarded = () if request.user.is_superuser else GUARDED_OF_SOURCES
        return (*super().get_readonly_fields(request, obj), *guarded)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser) and super().has_add_permission(request)

    def complete_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        super().complete_rows(request, rows)
        counted = doors.turned_away_today([row.pk for row in rows])
        for row in rows:
            row.turned = counted.get(row.pk, 0)

    def told(self, request: HttpRequest, row: EventSource) -> Told:
        lead = _("Paused: %(reason)s") % {"reason": row.paused_reason} if row.paused_at else ""
        return super().told(request, row) | {"lead": lead, "refusals": doors.refusals_of(row)}

    @admin.display(description=gettext_lazy("address of its door"))
    def door(self, row: EventSource) -> str:
        if not row.slug:
            return NOTHING
        if row.scheme == Scheme.KEY:
            return "POST /api/events"
        secret = _("<secret>") if row.scheme == Scheme.PATH else ""
        return f"POST {settings.PUBLIC_URL}/webhook/{row.slug}{'/' if secret else ''}{secret}"

    @admin.display(description=gettext_lazy("where its secrets stand"))
    def secrets(self, row: EventSource) -> str:
        told = [(word, name, _secret_of_source(row, str(name))) for word, name in row.credentials.items()]
        return format_html_join("", "<div>{}: <code>{}</code> {}</div>", told) or NOTHING

    @admin.display(description=gettext_lazy("turned away today"))
    def turned_away(self, row: EventSource) -> int:
        return int(getattr(row, "turned", 0))


def _secret_of_source(source: EventSource, name: str) -> str:
    """Say where a secret stands, and whether it will do for its scheme. Never the secret itself."""
    secret = credential(name)
    if not secret.value:
        return source_of(secret)
    try:
        check_secret(source.scheme, secret.value)
    except BadSecret as error:
        return f"{source_of(secret)}. {error}"
    return source_of(secret)


@admin.register(IntegrationEvent)
class IntegrationEventAdmin(FailingColumns, VerbAdmin[IntegrationEvent]):
    """Events: what came, from whom, how it was proven and what it became."""

    change_form_template = "integrations/event.html"
    list_display = ("event", "state", "source", "subject", "proof_word", "came", "error", "became", "row_verbs")
    list_select_related = ("source",)
    search_help_text = gettext_lazy("Words of the error, the event's own id, its subject, or our id.")
    fieldsets = (
        (None, {"fields": ("became", "error", "failure", "by_field", "settled", "letter")}),
        (
            gettext_lazy("What it is"),
            {"fields": ("event_type", "source", "subject", "event_id", "happened", "came", "trace_id", "id")},
        ),
        (gettext_lazy("How it came"), {"fields": ("proof_word", "sender", "content_type", "size", "doubled")}),
        (gettext_lazy("Attempts and times"), {"fields": ("tries", "due", "processed", "failed")}),
        (
            gettext_lazy("Who holds it"),
            {"classes": ("collapse",), "fields": ("worker", "lease_until", "token", "crashes")},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("source")

    def complete_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        super().complete_rows(request, rows)
        made = _made_of([row.pk for row in rows])
        for row in rows:
            row.made = made.get(row.pk, [])

    def told(self, request: HttpRequest, row: IntegrationEvent) -> Told:
        unreadable = row.error_type == UNREADABLE
        return super().told(request, row) | {
            "lead": self._lead(row),
            "came_headers": row.headers,
            "payload": None if unreadable else row.data,
            "came_text": bytes(row.body).decode("utf-8", "replace") if unreadable else "",
        }

    def _lead(self, row: IntegrationEvent) -> str:
        if row.archived_at:
            return _("Archived: %(reason)s") % {"reason": row.archive_reason}
        if row.status == IntegrationEvent.Status.RECEIVED and row.last_error:
            return _("It is tried again by itself. Last time: %(error)s") % {"error": line(row.last_error)}
        if row.status == IntegrationEvent.Status.RECEIVED and row.source.status == EventSource.Status.PAUSED:
            return _("It waits: the source is paused. %(reason)s") % {"reason": row.source.paused_reason}
        return line(row.last_error)

    def timeline(self, row: IntegrationEvent) -> list[Told]:
        came = {"at": row.received_at, "kind": "step", "label": _("Taken in"), "who": row.sender}
        done = {"at": row.processed_at, "kind": "step", "label": _("Finish"), "detail": row.get_outcome_display()}
        again = {"at": row.duplicate_at, "kind": "step", "label": _("Came again"), "detail": self.doubled(row)}
        own = [entry for entry in (came, done, again) if entry["at"]]
        return newest_first([*super().timeline(row), *own])

    @admin.display(description=gettext_lazy("event"))
    def event(self, row: IntegrationEvent) -> str:
        return str(row)

    @admin.display(description=gettext_lazy("proof"))
    def proof_word(self, row: IntegrationEvent) -> SafeString:
        state = "warning" if row.proof == IntegrationEvent.Proof.UNSIGNED else "completed"
        return badge(state, row.get_proof_display())

    @admin.display(description=gettext_lazy("received"))
    def came(self, row: IntegrationEvent) -> str:
        return age(row.received_at)

    @admin.display(description=gettext_lazy("happened"))
    def happened(self, row: IntegrationEvent) -> str:
        return age(row.occurred_at)

    @admin.display(description=gettext_lazy("last error"))
    def error(self, row: IntegrationEvent) -> str:
        return line(row.last_error) or NOTHING

    @admin.display(description=gettext_lazy("became"))
    def became(self, row: IntegrationEvent) -> str:
        made = row.made if hasattr(row, "made") else _made_of([row.pk]).get(row.pk, [])
        told = ((_url_of(one), one.name, badge(one.status, one.status_word)) for one in made)
        shown = format_html_join("", '<div><a href="{}">{}</a> {}</div>', told)
        return shown or (str(row.get_outcome_display()) if row.outcome else NOTHING)

    @admin.display(description=gettext_lazy("size"))
    def size(self, row: IntegrationEvent) -> str:
        return str(filesizeformat(len(row.body)))

    @admin.display(description=gettext_lazy("duplicates"))
    def doubled(self, row: IntegrationEvent) -> str:
        if not row.duplicates:
            return NOTHING
        words = ngettext("%(count)s time", "%(count)s times", row.duplicates) % {"count": row.duplicates}
        return format_html("{}, {}", words, age(row.duplicate_at))

    @admin.display(description=gettext_lazy("attempts"))
    def tries(self, row: IntegrationEvent) -> str:
        return _("%(made)s of %(most)s") % {"made": row.attempts, "most": row.max_retries}

    @admin.display(description=gettext_lazy("due"))
    def due(self, row: IntegrationEvent) -> str:
        return age(row.due_at) if row.status == IntegrationEvent.Status.RECEIVED else NOTHING

    @admin.display(description=gettext_lazy("processed"))
    def processed(self, row: IntegrationEvent) -> str:
        return age(row.processed_at)

    @admin.display(description=gettext_lazy("failed"))
    def failed(self, row: IntegrationEvent) -> str:
        return age(row.failed_at)


def _made_of(events: list[Any]) -> dict[Any, list[Made]]:
    found: dict[Any, list[Made]] = import_string(catalogue.MADE_OF)(events)
    return found


def _url_of(made: Made) -> str:
    return reverse(f"admin:{made.kind.replace('.', '_')}_change", args=[made.id])
