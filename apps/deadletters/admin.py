from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from apps.actions.admin import VerbAdmin
from apps.actions.admin.pages import Told, age, figure, line
from apps.actions.verbs import Verb
from apps.deadletters.causes import Cause, causes
from apps.deadletters.failures import FailureClass
from apps.deadletters.models import DeadLetter


@admin.register(DeadLetter)
class DeadLetterAdmin(VerbAdmin[DeadLetter]):
    """The one inbox of everything that was given up on (S1-37 to S1-46), and its causes."""

    list_display = ("letter", "state", "service", "failure_class", "error", "repeats", "opened", "row_verbs")
    search_help_text = gettext_lazy("Words of the error, or the id of what failed.")
    change_list_template = "deadletters/change_list.html"
    fieldsets = (
        (None, {"fields": ("message", "failure_class", "error_type", "source", "repeats", "opened")}),
        (gettext_lazy("What it is"), {"fields": ("service", "tenant", "entity_type", "entity_id", "same_cause", "id")}),
        (
            gettext_lazy("How it was settled"),
            {"fields": ("resolution_notes", "resolved", "archive_reason", "archived")},
        ),
    )

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.causes_view)
        return [path("causes/", view, name="deadletters_deadletter_causes"), *super().get_urls()]

    def causes_view(self, request: HttpRequest) -> HttpResponse:
        """Show what waits by cause, each with its button."""
        self.require_view(request)
        told = [self.told_cause(request, cause) for cause in causes()]
        context = {"title": _("Dead letters by cause"), "opts": self.opts, "causes": told}
        return render(request, "deadletters/causes.html", self.admin_site.each_context(request) | context)

    def told_cause(self, request: HttpRequest, cause: Cause) -> Told:
        """Return a cause as console/failure.html reads it."""
        return {
            "id": f"cause-{cause.fingerprint[:8]}",
            "count": cause.count,
            "cause": f"{cause.sample.title}: {cause.sample.error_type}",
            "service": cause.sample.service,
            "since": cause.since,
            "sample": line(cause.sample.message),
            "advice": ADVICE.get(FailureClass(cause.sample.failure_class), ""),
            "url": f"{self.list_url()}?status=unresolved&cause={cause.fingerprint}",
            "review": not offered(cause),
            "verbs": [
                self._button(request, cause, verb)
                for name, verb in self.permitted(request).items()
                if name in offered(cause)
            ],
        }

    def _button(self, request: HttpRequest, cause: Cause, verb: Verb) -> Told:
        words = {"status": str(DeadLetter.Status.UNRESOLVED), "cause": cause.fingerprint}
        return {
            "label": f"{verb.label} {figure(cause.count)}",
            "url": self.verb_url(verb, filters=words),
            "danger": verb.danger,
            "fields": [("back", request.path)],
        }

    def told(self, request: HttpRequest, row: DeadLetter) -> Told:
        return super().told(request, row) | {"lead": line(row.message)}

    @admin.display(description=gettext_lazy("dead letter"))
    def letter(self, row: DeadLetter) -> str:
        return str(row)

    @admin.display(description=gettext_lazy("error"))
    def error(self, row: DeadLetter) -> str:
        return line(row.message)

    @admin.display(description=gettext_lazy("given up"))
    def opened(self, row: DeadLetter) -> str:
        return age(row.opened_at)

    @admin.display(description=pgettext_lazy("dead letter", "resolved"))
    def resolved(self, row: DeadLetter) -> str:
        return age(row.resolved_at)

    @admin.display(description=pgettext_lazy("dead letter", "archived"))
    def archived(self, row: DeadLetter) -> str:
        return age(row.archived_at)

    @admin.display(description=gettext_lazy("what failed"))
    def source(self, row: DeadLetter) -> str:
        try:
            url = reverse(f"admin:{row.source_kind.replace('.', '_')}_change", args=[row.source_id])
        except NoReverseMatch:
            return str(row.source_id)
        return format_html('<a href="{}">{}</a>', url, row)

    @admin.display(description=gettext_lazy("same cause"))
    def same_cause(self, row: DeadLetter) -> str:
        return format_html(
            '<a href="{}?cause={}">{}</a>', self.list_url(), row.fingerprint, _("all with the same cause")
        )


ADVICE = {
    FailureClass.PERMANENT_DATA: gettext_lazy(
        "Sent again as it is, it will be refused again: mend the data or the mapping first."
    ),
    FailureClass.CONFIG: gettext_lazy("Our own settings ask for something impossible: mend them first."),
    FailureClass.CREDENTIAL: gettext_lazy("Put the new token in its place and probe the service, then retry."),
    FailureClass.AMBIGUOUS: gettext_lazy("It may have arrived: look at the far end before anything is sent again."),
    FailureClass.POISON: gettext_lazy(
        "It took its worker down four times: have a developer look before it is sent again."
    ),
    FailureClass.QUOTA: gettext_lazy(
        "What was paid for is used up: wait for the new day or raise the quota, then retry."
    ),
}
"""What to do first, by failure class."""


def offered(cause: Cause) -> tuple[str, ...]:
    """Return the verbs that make sense for a whole cause. What may have arrived, or kills workers, is looked at row by row."""
    if cause.sample.failure_class in (FailureClass.AMBIGUOUS, FailureClass.POISON):
        return ()
    return ("retry", "archive")
