"""The pages of the log: the last lines as they come, the errors, and what is said over and over."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.apps import apps
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.admin import ReadOnly
from apps.actions.admin.pages import Told
from apps.actions.models import short
from apps.actions.verbs import UnknownFilter
from apps.jobs.log_search import CONDITIONS, LEVELS, PATTERN_HOURS, READ_LOGS, matching, older_than, patterns
from apps.jobs.models import LogLine

LINES = 100
AFTER, OLDER = "after", "older_than"
"""Words of the page beside those of the search: the newest line that the reader has, and the last one of the page before."""
STATES = {"warning": "warning", "error": "failed", "critical": "failed"}
"""The colour of a level; what is no trouble has none."""
SPANS = (1, 2, 4, 24, 168, 720)
FIELDS: list[tuple[str, Any]] = [
    ("phone", gettext_lazy("Phone")),
    ("service", gettext_lazy("Service")),
    ("tenant", gettext_lazy("Tenant")),
    ("operation", gettext_lazy("Operation, event or other row: its id")),
    ("run", gettext_lazy("Job run: its id")),
    ("trace", gettext_lazy("Correlation id")),
    ("logger", gettext_lazy("Logger")),
    ("since", gettext_lazy("Since")),
    ("before", gettext_lazy("Before")),
]
"""The words that stand behind "more", and what they are called."""


@admin.register(LogLine)
class LogLineAdmin(ReadOnly, admin.ModelAdmin[LogLine]):
    """The log. It has a permission of its own, and no page of one line: a line says all of itself."""

    def has_view_permission(self, request: HttpRequest, obj: LogLine | None = None) -> bool:
        """Ask for the permission to read the log."""
        return request.user.has_perm(READ_LOGS)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show it to who may read it."""
        return self.has_view_permission(request)

    def get_urls(self) -> list[Any]:
        """Answer at two addresses: lines, and patterns."""
        lines, counted = (self.admin_site.admin_view(view) for view in (self.changelist_view, self.patterns_view))
        return [
            path("", lines, name="jobs_logline_changelist"),
            path("patterns/", counted, name="jobs_logline_patterns"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Told | None = None) -> HttpResponse:
        """Show the last lines; asked by the page itself, answer with them alone, or with nothing where none is new."""
        told = self._asked(request)
        if "HX-Request" in request.headers and request.GET.get(AFTER):
            return self._tail(request, told)
        return self._page(request, "jobs/logs.html", told)

    def patterns_view(self, request: HttpRequest) -> HttpResponse:
        """Show what is said most often, without what differs from line to line."""
        self._require(request)
        words, refusal = _words(request), ""
        try:
            found = patterns(words)
        except UnknownFilter as error:
            found, refusal = [], str(error)
        rows = [_told_pattern(each, words) for each in found]
        hours = "" if words.get("hours") or words.get("since") else str(PATTERN_HOURS)
        told = _told_words(words | ({"hours": hours} if hours else {})) | {"rows": rows, "refusal": refusal}
        return self._page(request, "jobs/patterns.html", told | {"view": "patterns"})

    def _asked(self, request: HttpRequest) -> Told:
        self._require(request)
        words = _words(request)
        older = _key(request.GET.get(OLDER, ""))
        told = _told_words(words) | {"view": "errors" if words.get("level") == "error" else "lines", "older": older}
        try:
            rows = matching(words)
        except UnknownFilter as error:
            return told | {"lines": [], "refusal": str(error)}
        found = list((older_than(rows, older) if older else rows)[: LINES + 1])
        last = found[LINES - 1].pk if len(found) > LINES else None
        return told | {
            "lines": [_told_line(line, request) for line in found[:LINES]],
            "newest": found[0].pk if found else "",
            "next": f"?{urlencode({**words, OLDER: last})}" if last else "",
        }

    def _tail(self, request: HttpRequest, told: Told) -> HttpResponse:
        if str(told.get("newest", "")) == request.GET[AFTER]:
            return HttpResponse(status=204)
        return TemplateResponse(request, "jobs/log_live.html", told)

    def _page(self, request: HttpRequest, template: str, told: Told) -> HttpResponse:
        context = self.admin_site.each_context(request) | {"opts": self.opts, "title": _("Logs")} | told
        return TemplateResponse(request, template, context, status=422 if told.get("refusal") else 200)

    def _require(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied


def _words(request: HttpRequest) -> dict[str, str]:
    """Return the words of the search; those of the page itself are not among them."""
    given = {word: str(value) for word, value in request.GET.items() if word not in (AFTER, OLDER)}
    return {word: value for word, value in given.items() if value.strip()}


def _told_words(words: dict[str, str]) -> Told:
    """Return the search's form as its template reads it."""
    hours = words.get("hours", "")
    spans = [str(span) for span in SPANS]
    return {
        "words": urlencode(words),
        "asked": words,
        "levels": [(level, LogLine.Level[level.upper()].label) for level in LEVELS],
        "spans": [(span, _span(int(span))) for span in spans] + ([(hours, hours)] if hours not in ("", *spans) else []),
        "more": [{"name": name, "label": label, "value": words.get(name, "")} for name, label in FIELDS],
        "kept": [
            (word, words[word]) for word in CONDITIONS if word in words and word in ("object", "event", "pattern")
        ],
        "more_open": any(words.get(name) for name, _label in FIELDS),
    }


def _span(hours: int) -> str:
    words = _("last %(days)s days") if hours > 24 else _("last %(hours)s h")
    return words % {"hours": hours, "days": hours // 24}


def _key(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def _told_line(line: LogLine, request: HttpRequest) -> Told:
    level = LogLine.Level(line.level).name.lower() if line.level in LogLine.Level.values else "info"
    rows = [(line.kind, line.object_id), ("jobs.jobrun", line.job_run)]
    return {
        "line": line,
        "state": STATES.get(level, ""),
        "word": LogLine.Level[level.upper()].label,
        "rows": [told for kind, key in rows if key and (told := _told_row(kind, key, request))],
    }


def _told_row(kind: str, key: UUID, request: HttpRequest) -> Told:
    """Return the row that a line speaks of: its page where there is one that the reader may see, else its lines."""
    try:
        model = apps.get_model(kind)
        may = request.user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}")
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[key]) if may else ""
        name = str(model._meta.verbose_name)
    except (LookupError, ValueError, NoReverseMatch):
        name, url = _("row"), ""
    return {"name": f"{name} {short(key)}", "url": url or f"?{urlencode({'object': key})}"}


def _told_pattern(found: Any, words: dict[str, str]) -> Told:
    level = found.level_word
    url = f"{reverse('admin:jobs_logline_changelist')}?{urlencode({**words, 'pattern': found.pattern})}"
    return {"pattern": found, "state": STATES.get(level, ""), "word": LogLine.Level[level.upper()].label, "url": url}
