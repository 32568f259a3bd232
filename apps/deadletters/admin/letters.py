from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from apps.actions.admin import NOTHING, VerbAdmin
from apps.actions.admin.pages import Told, age, figure, line
from apps.actions.running import database_now
from apps.actions.selections import EMPTY
from apps.actions.verbs import Verb, state_label
from apps.deadletters.backlog import WAITING, Group, counts, groups
from apps.deadletters.causes import Cause, causes
from apps.deadletters.failures import FailureClass
from apps.deadletters.inbox import source_of
from apps.deadletters.models import DeadLetter, FailureFamily, TransientRule


@admin.register(DeadLetter)
class DeadLetterAdmin(VerbAdmin[DeadLetter]):
    """The one inbox of everything that was given up on (S1-37 to S1-46, S4-62), and its two groupings."""

    list_display = ("letter", "state", "service", "failure_class", "error", "repeats", "opened", "row_verbs")
    search_help_text = gettext_lazy("Words of the error or of the payload, an entity's id, or the id of what failed.")
    change_list_template = "deadletters/change_list.html"
    fieldsets = (
        (None, {"fields": ("message", "failure_class", "error_type", "source", "family", "repeats", "opened")}),
        (
            gettext_lazy("What it is"),
            {"fields": ("service", "tenant", "entity_type", "entity_id", "source_system", "attempts", "id")},
        ),
        (
            gettext_lazy("How it was settled"),
            {"fields": ("resolution_notes", "resolved", "archive_reason", "archived")},
        ),
    )

    def get_urls(self) -> list[Any]:
        views = {"causes": self.causes_view, "groups": self.groups_view}
        own = [
            path(f"{name}/", self.admin_site.admin_view(view), name=f"deadletters_deadletter_{name}")
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Told | None = None) -> HttpResponse:
        """Show the inbox, with the way to what the rule calls transient."""
        words = TransientRule.current().filters(database_now())
        url = self.verb_url(DeadLetter.resolve, filters=words) if "resolve" in self.permitted(request) else ""
        return super().changelist_view(request, {"transient_url": url} | (extra_context or {}))

    def state_counts(self) -> Mapping[str, tuple[int | None, bool]]:
        """The database keeps these counts exactly: nothing is scanned."""
        return {status: (count, False) for status, count in counts().items()}

    # The two groupings

    def causes_view(self, request: HttpRequest) -> HttpResponse:
        """Show what waits by family, the largest first, each with its button; ignored ones are among them."""
        told = [self.told_cause(request, cause) for cause in causes(quiet=True)]
        return self._grouped(request, "deadletters/causes.html", _("Dead letters by family"), causes=told)

    def groups_view(self, request: HttpRequest) -> HttpResponse:
        """Show what waits by error type and entity (S4-59)."""
        told = [self._told_group(group) for group in groups()]
        return self._grouped(request, "deadletters/groups.html", _("Dead letters by error and entity"), groups=told)

    def _grouped(self, request: HttpRequest, template: str, title: str, **told: Any) -> HttpResponse:
        self.require_view(request)
        context = {"title": title, "opts": self.opts, **told}
        return render(request, template, self.admin_site.each_context(request) | context)

    def _told_group(self, group: Group) -> Told:
        words = {"type": group.error_type or EMPTY, "entity": group.entity_type or EMPTY}
        return vars(group) | {"url": self.waiting_url(**words)}

    def waiting_url(self, **words: str) -> str:
        """Return the address of the unresolved dead letters that these words select."""
        return f"{self.list_url()}?{urlencode({'status': WAITING, **words})}"

    def told_cause(self, request: HttpRequest, cause: Cause) -> Told:
        """Return a family's unresolved dead letters as console/failure.html reads them."""
        family = cause.family
        return {
            "id": f"cause-{family.fingerprint[:8]}",
            "count": cause.count,
            "cause": f"{cause.title}: {family.error_type}",
            "service": family.service,
            "since": cause.since,
            "sample": line(cause.message),
            "advice": ADVICE.get(FailureClass(cause.failure_class), ""),
            "url": self.waiting_url(family=family.fingerprint),
            "review": not offered(cause.failure_class),
            "verbs": self.buttons(request, family, offered(cause.failure_class), cause.count, request.path),
            "family": told_family(family),
        }

    def buttons(
        self, request: HttpRequest, family: FailureFamily, names: Collection[str], count: int, back: str
    ) -> list[Told]:
        """Return verbs by name, on all unresolved dead letters of a family; those that the reader may take."""
        words = {"status": WAITING, "family": family.fingerprint}
        shown = [verb for name, verb in self.permitted(request).items() if name in names]
        return [self.button(verb, words, f"{verb.label} {figure(count)}", [("back", back)]) for verb in shown]

    def button(self, verb: Verb, words: Mapping[str, str], label: str, fields: list[tuple[str, str]]) -> Told:
        """Return a verb on all that match, as templates read it: it leads to the preview."""
        return {
            "label": label,
            "url": self.verb_url(verb, filters=words),
            "danger": verb.danger,
            "fields": fields,
        }

    # One dead letter

    def told(self, request: HttpRequest, row: DeadLetter) -> Told:
        told = super().told(request, row) | {"lead": line(row.message)}
        source = source_of(row)
        return told | {"payload": source.payload} if source else told

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

    @admin.display(description=gettext_lazy("family"))
    def family(self, row: DeadLetter) -> str:
        family = FailureFamily.objects.filter(fingerprint=row.fingerprint).first()
        if family is None:
            return NOTHING
        told = told_family(family)
        words = told["word"] if not told["owner"] else f"{told['word']}, {told['owner']}"
        return format_html('<a href="{}">{}</a> ({})', told["url"], family, words)


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


def offered(failure_class: str) -> tuple[str, ...]:
    """Return the verbs that make sense for a whole family. What may have arrived, or kills workers, is looked at row by row."""
    return () if failure_class in (FailureClass.AMBIGUOUS, FailureClass.POISON) else ("retry", "archive")


def told_family(family: FailureFamily) -> Told:
    """Return where a family stands and who sees to it, as templates read it."""
    return {
        "url": reverse("admin:deadletters_failurefamily_change", args=[family.pk]),
        "state": family.status,
        "word": state_label(FailureFamily, family.status),
        "owner": family.owner,
        "until": family.ignored_until,
    }
