"""The calendar of jobs: when each is due and what it did last time; and the reports that maintenance left (S4-76 to S4-85)."""

import datetime as dt
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.jobs import stats
from apps.jobs.catalogue import kinds
from apps.jobs.models import Job, JobRun, Report
from apps.jobs.wording import in_words
from opsconsole.slow_database import PERMISSION
from opsconsole.templatetags.console import duration, number

Told = dict[str, Any]
"""What a template is told of one thing; templates/health/calendar.html and report.html name the words."""
REPORTS_SHOWN, ROWS_SHOWN = 12, 25
NEVER = dt.datetime.max.replace(tzinfo=dt.UTC)
TITLES = {
    "services": gettext_lazy("Deliveries by service"),
    "events": gettext_lazy("Events"),
    "delivered_in_seconds": gettext_lazy("From taken in to delivered"),
    "queues": gettext_lazy("Queues"),
    "runs": gettext_lazy("Runs of jobs"),
    "statements": gettext_lazy("Slowest statements"),
    "tables": gettext_lazy("Tables"),
    "failures": gettext_lazy("Failures of thirty days, by kind"),
    "limits": gettext_lazy("Limits"),
}
HEADS = {
    "service": gettext_lazy("service"),
    "sent": gettext_lazy("delivered"),
    "failed": gettext_lazy("failed"),
    "success_percent": gettext_lazy("success rate"),
    "received": gettext_lazy("received"),
    "processed": gettext_lazy("processed"),
    "median": gettext_lazy("half of them within"),
    "p95": gettext_lazy("95 % within"),
    "operations": gettext_lazy("operations"),
    "queue": gettext_lazy("queue"),
    "waiting": gettext_lazy("waiting"),
    "oldest_seconds": gettext_lazy("oldest due"),
    "job": gettext_lazy("job"),
    "status": gettext_lazy("status"),
    "count": gettext_lazy("count"),
    "query": gettext_lazy("statement"),
    "calls": gettext_lazy("calls"),
    "rows": gettext_lazy("rows"),
    "mean_seconds": gettext_lazy("mean"),
    "max_seconds": gettext_lazy("longest"),
    "total_seconds": gettext_lazy("in all"),
    "table": gettext_lazy("table"),
    "bytes": gettext_lazy("size"),
    "grown_bytes": gettext_lazy("grown by"),
    "source_kind": gettext_lazy("kind of work"),
    "error_type": gettext_lazy("error type"),
    "failure_class": gettext_lazy("failure class"),
    "limit": gettext_lazy("limit"),
    "value": gettext_lazy("set to"),
    "now": gettext_lazy("now"),
}
FIRST = ("query", "table", "service", "queue", "job", "source_kind", "limit")
"""What names a row."""


def calendar(request: HttpRequest) -> TemplateResponse:
    """Show every job that comes round: when next, and what it did last time."""
    if not request.user.has_perm("jobs.view_jobrun"):
        raise PermissionDenied
    jobs = list(Job.objects.all())
    newest = stats.newest_runs([job.pk for job in jobs])
    jobs.sort(key=lambda job: (job.status != Job.Status.ACTIVE, job.next_at or NEVER, job.slug))
    told = {"jobs": [_told_job(job, newest.get(job.pk)) for job in jobs], "title": _("Calendar")}
    if request.user.has_perm(PERMISSION):
        told["reports"] = [_told_report(report) for report in Report.objects.defer("told")[:REPORTS_SHOWN]]
    return TemplateResponse(request, "health/calendar.html", admin.site.each_context(request) | told)


def _told_job(job: Job, run: JobRun | None) -> Told:
    kind = kinds().get(job.slug)
    return {
        "slug": job.slug,
        "url": reverse("admin:jobs_job_change", args=[job.pk]),
        "what": kind.name if kind else job.name,
        "when": in_words(job),
        "next_at": job.next_at if job.status == Job.Status.ACTIVE else None,
        "paused": job.paused_reason if job.paused_at else "",
        "run": _told_run(run) if run else None,
    }


def _told_run(run: JobRun) -> Told:
    return {
        "url": reverse("admin:jobs_jobrun_change", args=[run.pk]),
        "status": run.status,
        "word": run.get_status_display(),
        "at": run.started_at or run.created_at,
        "took": run.duration,
        "did": ", ".join(f"{word} {number(count)}" for word, count in run.counts.items()),
        "error": run.last_error,
    }


def _told_report(report: Report) -> Told:
    url = reverse("admin:report", args=[report.pk])
    return {"url": url, "kind": report.get_kind_display(), "at": report.made_at}


def report(request: HttpRequest, key: UUID) -> TemplateResponse:
    """Show a report, as it was told then."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    found = Report.objects.filter(pk=key).first()
    if found is None:
        raise Http404
    told = {
        "title": str(found),
        "since": parse_datetime(found.told["since"]),
        "until": parse_datetime(found.told["until"]),
        "parts": [_part(name, found.told[name]) for name in TITLES if found.told.get(name)],
    }
    return TemplateResponse(request, "health/report.html", admin.site.each_context(request) | told)


def _part(name: str, told: Any) -> Told:
    rows: list[Mapping[str, Any]] = told if isinstance(told, list) else [told]
    columns = [word for word in (*FIRST, *HEADS) if word in rows[0]]  # the database keeps no order of keys
    columns = list(dict.fromkeys(columns))
    return {
        "title": TITLES[name],
        "heads": [HEADS[word] for word in columns],
        "rows": [[(HEADS[word], _written(word, row.get(word))) for word in columns] for row in rows[:ROWS_SHOWN]],
    }


def _written(word: str, value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, str):
        return value
    if word.endswith("bytes"):
        return f"{'−' if value < 0 else ''}{filesizeformat(abs(value))}"  # noqa: RUF001 # the sign for less
    if word.endswith("_seconds") or word in ("median", "p95"):
        return duration(value)
    return f"{number(value)} %" if word.endswith("percent") else number(value)
