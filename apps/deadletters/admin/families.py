from typing import Any, cast
from urllib.parse import urlencode

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextareaWidget
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.admin import NOTHING, VerbAdmin, age, figure, line
from apps.actions.admin.pages import Told, form_url, label_of
from apps.actions.models import ActionRun
from apps.actions.running import verb_of
from apps.actions.verbs import state_label
from apps.deadletters import backlog
from apps.deadletters.admin.letters import ADVICE, DeadLetterAdmin, offered
from apps.deadletters.causes import last_seen, worked_last_time
from apps.deadletters.failures import FailureClass
from apps.deadletters.models import DeadLetter, FailureFamily


@admin.register(FailureFamily)
class FailureFamilyAdmin(VerbAdmin[FailureFamily]):
    """Families: what failed alike, how often lately, who sees to it, and what mended it last time."""

    list_display = ("family", "state", "service", "failure_class", "waiting", "trend", "seen", "owner", "row_verbs")
    search_help_text = gettext_lazy("Words of the error.")
    change_form_template = "deadletters/family.html"
    formfield_overrides = {
        models.URLField: {"assume_scheme": "https"},
        models.TextField: {"widget": AdminTextareaWidget(attrs={"rows": 3, "class": "vTextField"})},
    }
    readonly_fields = (
        *("message", "failure_class", "error_type", "service", "kind", "owner", "ignored", "mended"),
        *("first_seen", "seen", "came_back", "services", "tenants", "fingerprint"),
    )
    fieldsets = (
        (None, {"fields": ("note", "ticket_url", "owner", "ignored", "mended")}),
        (gettext_lazy("What failed"), {"fields": ("message", "failure_class", "error_type", "service", "kind")}),
        (
            gettext_lazy("When and whom"),
            {"fields": ("first_seen", "seen", "came_back", "services", "tenants", "fingerprint")},
        ),
    )

    def has_change_permission(self, request: HttpRequest, obj: FailureFamily | None = None) -> bool:
        """Whoever acts on families may leave a note and a ticket's address."""
        return admin.ModelAdmin.has_change_permission(self, request, obj)

    @property
    def letters(self) -> DeadLetterAdmin:
        """The pages of the dead letters, whose verbs run on all of a family."""
        return cast("DeadLetterAdmin", self.admin_site.get_model_admin(DeadLetter))

    # The list

    def complete_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        super().complete_rows(request, rows)
        causes = [row.fingerprint for row in rows]
        counts, trends, seen = backlog.of_families(causes), backlog.trends(causes), last_seen(rows)
        for row in rows:
            row.counts, row.lately = counts.get(row.fingerprint, {}), trends[row.fingerprint]
            row.last_seen_at = seen.get(row.fingerprint)

    @admin.display(description=gettext_lazy("family"))
    def family(self, row: FailureFamily) -> str:
        return str(row)

    @admin.display(description=gettext_lazy("unresolved"))
    def waiting(self, row: Any) -> str:
        count = row.counts.get(backlog.WAITING, 0)
        return format_html('<a href="{}">{}</a>', self._letters_url(row), figure(count)) if count else "0"

    @admin.display(description=gettext_lazy("last 24 hours"))
    def trend(self, row: Any) -> SafeString:
        label = _("%(count)s in the last 24 hours") % {"count": sum(row.lately.values)}
        return render_to_string("deadletters/trend.html", {"values": row.lately.values, "label": label})

    @admin.display(description=gettext_lazy("last seen"))
    def seen(self, row: Any) -> str:
        return age(row.last_seen_at)

    # One family

    @admin.display(description=gettext_lazy("kind of work"))
    def kind(self, row: FailureFamily) -> str:
        return str(apps.get_model(row.source_kind)._meta.verbose_name)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> FailureFamily | None:
        """Return the family with what its page shows beside its columns."""
        row: Any = super().get_object(request, object_id, from_field)
        if row is not None:
            row.last_seen_at = last_seen([row]).get(row.fingerprint)
        return cast("FailureFamily | None", row)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Told | None = None
    ) -> HttpResponse:
        """Show the page; asked by its own moving part, answer with that part alone."""
        if request.headers.get("HX-Target") != "family-live":
            return super().change_view(request, object_id, form_url, extra_context)
        row = self.get_object(request, object_id)
        if row is None or not self.has_view_permission(request, row):
            raise Http404
        return render(request, "deadletters/family_live.html", self._told_live(request, row))

    def told(self, request: HttpRequest, row: FailureFamily) -> Told:
        return super().told(request, row) | {"lead": line(row.message)} | self._told_live(request, row)

    def _told_live(self, request: HttpRequest, row: FailureFamily) -> Told:
        """Return what moves: the numbers, and the verbs that count what waits."""
        counts = backlog.of_families([row.fingerprint]).get(row.fingerprint, {})
        waiting, trends = counts.get(backlog.WAITING, 0), _trends(row)
        return {
            "advice": ADVICE.get(FailureClass(row.failure_class), "") if waiting else "",
            "tiles": [*self._tiles(row, counts), *map(_told_tile, trends)],
            "trends": trends,
            "members": self._members(request, row, waiting),
            "forms": self._forms(request, row, waiting),
            "review_url": self._letters_url(row) if waiting else "",
            "worked": self._worked(request, row, waiting),
        }

    def _tiles(self, row: FailureFamily, counts: dict[str, int]) -> list[Told]:
        return [
            {
                "label": capfirst(state_label(DeadLetter, status)),
                "value": counts.get(status, 0),
                "url": self._letters_url(row, status),
                "state": status,
            }
            for status in DeadLetter.Status.values
        ]

    def _members(self, request: HttpRequest, row: FailureFamily, waiting: int) -> list[Told]:
        """Return the dead letters' own verbs, on all of the family that wait."""
        names = offered(row.failure_class)
        return (
            self.letters.buttons(request, row, (*names, "resolve"), waiting, request.path) if waiting and names else []
        )

    def _forms(self, request: HttpRequest, row: FailureFamily, waiting: int) -> list[Told]:
        """Return the dead letters' verbs that have a form of their own, for all of the family that wait."""
        words = {"status": str(backlog.WAITING), "family": row.fingerprint}
        forms = self.letters.forms_permitted(request).values() if waiting and offered(row.failure_class) else ()
        return [{"label": f"{verb.label} {figure(waiting)}", "url": form_url(verb, **words)} for verb in forms]

    def _worked(self, request: HttpRequest, row: FailureFamily, waiting: int) -> Told | None:
        """Return what worked last time, with the button that does it again."""
        run = worked_last_time(row)
        if run is None:
            return None
        verb = verb_of(run)
        told: Told = {"words": _told_run(run), "url": run.get_absolute_url(), "verb": None}
        if waiting and verb.name in self.letters.permitted(request):
            label = _("Do it again: %(verb)s %(count)s") % {"verb": verb.label, "count": figure(waiting)}
            words = {"status": backlog.WAITING, "family": row.fingerprint}
            told["verb"] = self.letters.button(verb, words, label, [("back", request.path), *_pace(run)])
        return told

    def _letters_url(self, row: FailureFamily, status: str = backlog.WAITING, **words: str) -> str:
        return f"{self.letters.list_url()}?{urlencode({'status': status, 'family': row.fingerprint, **words})}"

    @admin.display(description=gettext_lazy("ignored until"))
    def ignored(self, row: FailureFamily) -> str:
        if row.status != FailureFamily.Status.IGNORED:
            return NOTHING
        return age(row.ignored_until) if row.ignored_until else _("somebody takes it up")

    @admin.display(description=gettext_lazy("how it was mended"))
    def mended(self, row: FailureFamily) -> str:
        if not row.resolved_at:
            return row.resolution_note or NOTHING
        return format_html("{} {}", row.resolution_note, age(row.resolved_at))

    @admin.display(description=gettext_lazy("first seen"))
    def first_seen(self, row: FailureFamily) -> str:
        return age(row.first_seen_at)

    @admin.display(description=gettext_lazy("came back"))
    def came_back(self, row: FailureFamily) -> str:
        if not row.regressed_at:
            return NOTHING
        times = _("%(times)s times") % {"times": row.regressions}
        return format_html("{}, {}", times, age(row.regressed_at))

    @admin.display(description=gettext_lazy("services"))
    def services(self, row: FailureFamily) -> str:
        return self._touched(row, "service")

    @admin.display(description=gettext_lazy("tenants"))
    def tenants(self, row: FailureFamily) -> str:
        return self._touched(row, "tenant")

    def _touched(self, row: FailureFamily, word: str) -> str:
        """Return what the unresolved ones touch, each number linked to exactly the rows that it counts."""
        found = backlog.touched(row.fingerprint, word)
        links = ((self._letters_url(row, **{word: name}), name, figure(count)) for name, count in found)
        return format_html_join(" · ", '<a href="{}">{} ({})</a>', links) or NOTHING


def _trends(row: FailureFamily) -> list[Told]:
    """Return the family's last day by hour and its last two weeks by day, with the numbers as a table reads them."""
    spans = ((_("last 24 hours"), "H:i", backlog.HOURLY), (_("last 14 days"), "d M", backlog.DAILY))
    return [
        _told_trend(label, form, backlog.trends([row.fingerprint], span)[row.fingerprint])
        for label, form, span in spans
    ]


def _told_trend(label: str, form: str, trend: backlog.Trend) -> Told:
    moments = [localtime(trend.since + number * trend.step) for number in range(len(trend.values))]
    rows = [(date_format(at, form), count) for at, count in zip(moments, trend.values, strict=True)]
    return {"label": label, "values": trend.values, "rows": rows}


def _told_tile(trend: Told) -> Told:
    return {"label": capfirst(trend["label"]), "value": sum(trend["values"]), "day": trend["values"], "state": "failed"}


def _told_run(run: ActionRun) -> str:
    why = str(run.given.get("note") or run.given.get("reason") or "")
    told = {
        "verb": label_of(run),
        "why": line(why),
        "confirmed": figure(run.confirmed),
        "moved": figure(run.moved),
        "day": date_format(localtime(run.created_at), "d M Y"),
    }
    if why:
        return _("%(verb)s, “%(why)s”: %(confirmed)s of %(moved)s confirmed, %(day)s") % told
    return _("%(verb)s: %(confirmed)s of %(moved)s confirmed, %(day)s") % told


def _pace(run: ActionRun) -> list[tuple[str, str]]:
    """Return how a run was paced, in the words of the form."""
    if not run.paced:
        return [("pace", "all")]
    return [("pace", "rate"), ("rate", str(run.rate_per_second))] if run.rate_per_second else [("pace", "canary")]
