from typing import Any
from urllib.parse import urljoin

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.admin import NOTHING, VerbAdmin
from apps.actions.admin.pages import Told, age, line, newest_first, told_item
from apps.actions.models import history_of
from apps.deadletters.admin import FailingColumns, letter_of
from apps.deadletters.models import DeadLetter
from apps.operations.backlog import counts
from apps.operations.edit_pages import edit_view, told_versions
from apps.operations.models import Attempt, PendingOperation

ATTEMPTS_SHOWN = 100


@admin.register(PendingOperation)
class PendingOperationAdmin(FailingColumns, VerbAdmin[PendingOperation]):
    """Operations: where each stands, why, and what may be done (S0-3, S0-11, S0-17, S0-25)."""

    list_display = ("operation", "state", "service", "error", "tries", "made", "row_verbs")
    list_select_related = ("service",)
    change_form_template = "operations/change_form.html"
    search_help_text = gettext_lazy("Words of the error, the id, the entity's id or the id at the service.")
    fieldsets = (
        (None, {"fields": ("error", "failure", "by_field", "remote", "looked_up", "settled", "letter")}),
        (
            gettext_lazy("What it is"),
            {"fields": ("operation_type", "entity", "service", "queue", "tenant", "source", "event", "mapping", "id")},
        ),
        (
            gettext_lazy("Attempts and times"),
            {"fields": ("tries", "due", "last_attempt", "made", "completed_at", "failed_at")},
        ),
        (
            gettext_lazy("Who holds it"),
            {"classes": ("collapse",), "fields": ("worker", "lease_until", "token", "crashes")},
        ),
    )
    # The runbook's own references (S0-34, S0-36), beside its own address.
    documents = (
        (gettext_lazy("Rotate credentials"), "rotacionar-credenciais.md"),
        (
            gettext_lazy("Architecture: the CRM fallback (TECH-030)"),
            "../../.context/docs/architecture.md#sistema-de-fallback-para-crm-tech-030",
        ),
        (gettext_lazy("Backlog: TECH-030"), "../backlog.md"),
    )

    @property
    def references(self) -> list[tuple[Any, str]]:  # type: ignore[override] # read when shown: tests change the address
        """Where to read on."""
        base = settings.RUNBOOKS_URL
        return [(words, urljoin(base, where) if base else "") for words, where in self.documents]

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.edit_view)
        return [path("edit/", view, name="operations_pendingoperation_edit"), *super().get_urls()]

    def edit_view(self, request: HttpRequest) -> HttpResponse:
        """Edit and retry: one payload, or many by a rule."""
        return edit_view(self.admin_site, request)

    def state_counts(self) -> dict[str, tuple[int | None, bool]]:
        """The database keeps these counts exactly: nothing is scanned."""
        return {status: (count, False) for status, count in counts().items()}

    def told(self, request: HttpRequest, row: PendingOperation) -> Told:
        told = {"lead": self._lead(row), "payload": row.payload, "versions": told_versions(row)}
        told["may_edit"] = "edit" in self.forms_permitted(request)
        return super().told(request, row) | told

    def _lead(self, row: PendingOperation) -> str:
        if row.archived_at:
            return _("Archived: %(reason)s") % {"reason": row.archive_reason}
        if row.status == PendingOperation.Status.PENDING and row.restored_at:
            return _("It waited in a backup that was restored, and may have been sent since. Confirm asks the far end.")
        if row.status == PendingOperation.Status.PENDING and row.last_error:
            return _("It is tried again by itself. Last time: %(error)s") % {"error": line(row.last_error)}
        return line(row.last_error)

    def timeline(self, row: PendingOperation) -> list[Told]:
        taken_in = {"at": row.created_at, "kind": "step", "label": _("Taken in"), "who": row.source}
        attempts = [told_attempt(attempt) for attempt in row.attempt_set.order_by("-id")[:ATTEMPTS_SHOWN]]
        return newest_first([*super().timeline(row), *attempts, *_told_letter(letter_of(row)), taken_in])

    @admin.display(description=gettext_lazy("operation"))
    def operation(self, row: PendingOperation) -> str:
        return str(row)

    @admin.display(description=gettext_lazy("last error"))
    def error(self, row: PendingOperation) -> str:
        return line(row.last_error)

    @admin.display(description=gettext_lazy("failure class"))
    def failure(self, row: PendingOperation) -> str:
        return " · ".join(word for word in (str(row.get_failure_class_display()), row.error_type) if word)

    @admin.display(description=gettext_lazy("entity"))
    def entity(self, row: PendingOperation) -> str:
        return f"{row.entity_type} {row.entity_id}".strip()

    @admin.display(description=gettext_lazy("event"))
    def event(self, row: PendingOperation) -> str:
        if row.event is None:
            return NOTHING
        url = reverse("admin:integrations_integrationevent_change", args=[row.event_id])
        return format_html('<a href="{}">{}</a>', url, row.event)

    @admin.display(description=gettext_lazy("made by the mapping"))
    def mapping(self, row: PendingOperation) -> str:
        version = row.mapping_version
        if version is None:
            return NOTHING
        url = reverse("admin:integrations_endpoint_change", args=[version.endpoint_id])
        return format_html('<a href="{}">{}</a>', url, version.name)

    @admin.display(description=gettext_lazy("attempts"))
    def tries(self, row: PendingOperation) -> str:
        return _("%(made)s of %(most)s") % {"made": row.attempts, "most": row.max_retries}

    @admin.display(description=gettext_lazy("created"))
    def made(self, row: PendingOperation) -> str:
        return age(row.created_at)

    @admin.display(description=gettext_lazy("due"))
    def due(self, row: PendingOperation) -> str:
        return age(row.due_at) if row.status == PendingOperation.Status.PENDING else NOTHING

    @admin.display(description=gettext_lazy("last attempt"))
    def last_attempt(self, row: PendingOperation) -> str:
        return age(row.last_attempt_at)

    @admin.display(description=gettext_lazy("record at the service"))
    def remote(self, row: PendingOperation) -> str:
        if row.remote_url.startswith(("http://", "https://")):
            return format_html('<a href="{}" rel="noreferrer">{}</a>', row.remote_url, row.remote_id or row.remote_url)
        return row.remote_id or NOTHING

    @admin.display(description=gettext_lazy("looked up there"))
    def looked_up(self, row: PendingOperation) -> str:
        if row.confirmed_at:
            return format_html("{} {}", row.confirm_message, age(row.confirmed_at))
        return _("asked, the answer is on its way") if row.confirm_asked_at else _("not yet; press Confirm")


def told_attempt(attempt: Attempt) -> Told:
    """Return one call as the timeline reads it."""
    answered = str(attempt.status_code) if attempt.status_code else _("no answer")
    good = not attempt.failure_class
    return {
        "at": attempt.at,
        "kind": "attempt",
        "label": f"{attempt.method} {answered}".strip(),
        "state": "completed" if good else "failed",
        "word": _("accepted") if good else str(attempt.get_failure_class_display()),
        "who": attempt.worker,
        "seconds": attempt.duration_ms / 1000,
        "detail": _("%(url)s (too late: its lease had lapsed)") % {"url": attempt.url}
        if attempt.stale
        else attempt.url,
        "excerpts": [(_("Answer"), attempt.excerpt)] if attempt.excerpt else [],
    }


def _told_letter(letter: DeadLetter | None) -> list[Told]:
    """Return what its dead letter went through by itself; what people did stands in the operation's own history."""
    if letter is None:
        return []
    steps = [told_item(DeadLetter, item) for item in history_of(letter.pk).filter(run=None)[:ATTEMPTS_SHOWN]]
    opened = {"at": letter.created_at, "kind": "step", "label": _("Given up"), "detail": line(letter.message)}
    return [*({**step, "label": _("Dead letter: %(step)s") % {"step": step["label"]}} for step in steps), opened]
