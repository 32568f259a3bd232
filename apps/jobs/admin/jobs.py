"""The pages of jobs and their runs: what comes when, how the last ones went, and what is still unresolved."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.admin import NOTHING, PolicyAdmin, VerbAdmin, age, badge
from apps.actions.admin.pages import Told, figure, line, newest_first, span
from apps.deadletters.admin import FailingColumns
from apps.deadletters.failures import TRANSIENT, FailureClass
from apps.jobs.admin.pausing import PausedColumns
from apps.jobs.catalogue import kinds
from apps.jobs.models import Job, JobRun
from apps.jobs.stats import newest_runs
from apps.jobs.wording import in_words


@admin.register(Job)
class JobAdmin(PausedColumns, PolicyAdmin[Job]):
    """Jobs: when each comes round in words, when next, and how its last run went."""

    change_form_template = "jobs/job.html"
    list_display = ("slug", "state", "what", "when", "next_run", "last_run", "paused", "row_verbs")
    readonly_fields = ("what", "when", "next_run", "last_run", "runs", "paused")
    fieldsets = (
        (None, {"fields": ("what", "when", "next_run", "last_run", "runs", "paused")}),
        (gettext_lazy("Schedule"), {"fields": ("cron", "every_seconds", "zone")}),
        (gettext_lazy("Policies"), {"fields": ("overlap", "misfire", "grace_seconds", "timeout_seconds")}),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Jobs come from the catalogue: what they do is code."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        """Jobs are paused."""
        return False

    def complete_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        super().complete_rows(request, rows)
        last = newest_runs([row.pk for row in rows])
        for row in rows:
            row.newest = last.get(row.pk)

    def told(self, request: HttpRequest, row: Job) -> Told:
        lead = _("Paused: %(reason)s") % {"reason": row.paused_reason} if row.paused_at else ""
        if row.slug not in kinds():
            lead = _("This version does not know the job any more: nothing is run.")
        return super().told(request, row) | {"lead": lead, "lists": _lists_of(row)}

    @admin.display(description=gettext_lazy("what it does"))
    def what(self, row: Job) -> str:
        kind = kinds().get(row.slug)
        return str(kind.name if kind else row.name)

    @admin.display(description=gettext_lazy("comes round"))
    def when(self, row: Job) -> str:
        return in_words(row)

    @admin.display(description=gettext_lazy("next run"))
    def next_run(self, row: Job) -> str:
        return age(row.next_at) if row.next_at and row.status == Job.Status.ACTIVE else NOTHING

    @admin.display(description=gettext_lazy("last run"))
    def last_run(self, row: Any) -> str:
        run = row.newest if hasattr(row, "newest") else newest_runs([row.pk]).get(row.pk)
        if run is None:
            return NOTHING
        url = reverse("admin:jobs_jobrun_change", args=[run.pk])
        words = badge(run.status, run.get_status_display())
        return format_html('<a href="{}">{}</a> {}', url, age(run.created_at), words)

    @admin.display(description=gettext_lazy("runs"))
    def runs(self, row: Job) -> str:
        url = f"{reverse('admin:jobs_jobrun_changelist')}?job={row.slug}"
        failed = _("what failed and nothing has made up for")
        return format_html('<a href="{}">{}</a> · <a href="{}&amp;status=failed">{}</a>', url, _("all"), url, failed)


RUNS_SHOWN = 10


def _lists_of(row: Job) -> list[Told]:
    """Return the last runs of a job and its slowest, as its page reads them."""
    runs = JobRun.objects.filter(job=row).select_related("job", "tenant")
    slowest = runs.filter(duration__isnull=False).order_by("-duration")
    return [
        {"title": _("Last runs"), "runs": list(runs[:RUNS_SHOWN]), "words": _("It has not run yet.")},
        {"title": _("Slowest runs"), "runs": list(slowest[:RUNS_SHOWN]), "words": _("No run has ended yet.")},
    ]


@admin.register(JobRun)
class JobRunAdmin(FailingColumns, VerbAdmin[JobRun]):
    """Runs: which slot, for whom, how long, what was done and what went wrong (S3-29 to S3-32, S1-57 to S1-60)."""

    change_form_template = "jobs/run.html"
    list_display = ("run", "state", "tenant", "error", "began", "took", "done", "row_verbs")
    list_select_related = ("job", "tenant")
    search_help_text = gettext_lazy("Words of the error, or the job.")
    fieldsets = (
        (None, {"fields": ("error", "failure", "done", "next_run", "settled", "letter")}),
        (gettext_lazy("What it is"), {"fields": ("job_link", "tenant", "slot", "asked", "again", "asked_with", "id")}),
        (gettext_lazy("Times"), {"fields": ("made", "began", "ended", "took", "due")}),
        (
            gettext_lazy("Who holds it"),
            {"classes": ("collapse",), "fields": ("worker", "lease_until", "token", "crashes")},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("job", "tenant")

    def told(self, request: HttpRequest, row: JobRun) -> Told:
        return super().told(request, row) | {
            "lead": self._lead(row),
            "live": row.status in JobRun.UNDER_WAY,
            "run": row,
            "told_counts": [(figure(count), word) for word, count in row.counts.items()],
            "progress": _progress(row),
            "advice": _advice(row),
        }

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Told | None = None
    ) -> HttpResponse:
        """Show a run; where it has ended since the page was asked for, let the whole page be asked for again."""
        response = super().change_view(request, object_id, form_url, extra_context)
        told = getattr(response, "context_data", None) or {}
        if request.headers.get("HX-Target") == "run-live" and not told.get("live"):
            response["HX-Refresh"] = "true"
        return response

    def _lead(self, row: JobRun) -> str:
        if row.archived_at:
            return _("Archived: %(reason)s") % {"reason": row.archive_reason}
        if row.status == JobRun.Status.QUEUED:
            return _waits(row)
        return line(row.last_error)

    def timeline(self, row: JobRun) -> list[Told]:
        began = {"at": row.started_at, "kind": "step", "label": _("Start"), "who": row.worker}
        ended = {
            "at": row.finished_at,
            "kind": "step",
            "label": row.get_status_display(),
            "detail": line(row.last_error),
        }
        made = {"at": row.created_at, "kind": "step", "label": _("Queued"), "who": row.asked_by}
        return newest_first([*super().timeline(row), *(entry for entry in (made, began, ended) if entry["at"])])

    @admin.display(description=gettext_lazy("run"))
    def run(self, row: JobRun) -> str:
        return str(row)

    @admin.display(description=gettext_lazy("error"))
    def error(self, row: JobRun) -> str:
        return line(row.last_error) or NOTHING

    @admin.display(description=gettext_lazy("done"))
    def done(self, row: JobRun) -> str:
        told = ((figure(count), word) for word, count in row.counts.items())
        return format_html_join(" · ", "{} {}", told) or NOTHING

    @admin.display(description=gettext_lazy("next run"))
    def next_run(self, row: JobRun) -> str:
        return age(row.job.next_at) if row.job.next_at and row.job.status == Job.Status.ACTIVE else NOTHING

    @admin.display(description=gettext_lazy("job"))
    def job_link(self, row: JobRun) -> str:
        return format_html('<a href="{}">{}</a>', reverse("admin:jobs_job_change", args=[row.job_id]), row.job.slug)

    @admin.display(description=gettext_lazy("slot"))
    def slot(self, row: JobRun) -> str:
        return age(row.slot_at) if row.slot_at else _("none: it was asked for")

    @admin.display(description=gettext_lazy("asked for by"))
    def asked(self, row: JobRun) -> str:
        return row.asked_by or NOTHING

    @admin.display(description=gettext_lazy("asked with"))
    def asked_with(self, row: JobRun) -> str:
        told = ((word, str(value)) for word, value in row.given.items())
        return format_html_join("", "<div><code>{}</code> {}</div>", told) or NOTHING

    @admin.display(description=gettext_lazy("repeats"))
    def again(self, row: JobRun) -> str:
        if row.rerun_of_id is None:
            return NOTHING
        url = reverse("admin:jobs_jobrun_change", args=[row.rerun_of_id])
        return format_html('<a href="{}">{}</a>', url, _("the run that failed"))

    @admin.display(description=gettext_lazy("queued"))
    def made(self, row: JobRun) -> str:
        return age(row.created_at)

    @admin.display(description=gettext_lazy("started"))
    def began(self, row: JobRun) -> str:
        return age(row.started_at) if row.started_at else NOTHING

    @admin.display(description=gettext_lazy("ended"))
    def ended(self, row: JobRun) -> str:
        return age(row.finished_at) if row.finished_at else NOTHING

    @admin.display(description=gettext_lazy("took"))
    def took(self, row: JobRun) -> str:
        return span(row.duration) if row.duration is not None else NOTHING

    @admin.display(description=gettext_lazy("due"))
    def due(self, row: JobRun) -> str:
        return age(row.due_at) if row.status == JobRun.Status.QUEUED else NOTHING


def _progress(row: JobRun) -> Told | None:
    kind = kinds().get(row.job.slug)
    if kind is None or not row.expected:
        return None
    return {"done": min(row.counts.get(kind.progress, 0), row.expected), "expected": row.expected}


PASSES = (*TRANSIENT, FailureClass.QUOTA)
"""What the next run may find mended."""


def _advice(row: JobRun) -> str:
    """Say what to do about a failed run: wait for the next, renew a credential, or escalate (S1-59 to S1-61)."""
    if row.status != JobRun.Status.FAILED or row.archived_at:
        return ""
    if row.failure_class == FailureClass.CREDENTIAL:
        return _("Its credential is refused: renew it, then run it again.")
    if row.failure_class not in PASSES:
        return _("It will fail again until somebody mends the cause: escalate to development (L2).")
    if row.job.next_at and row.job.status == Job.Status.ACTIVE:
        told = {"at": date_format(timezone.localtime(row.job.next_at), "SHORT_DATETIME_FORMAT")}
        return (
            _("This may pass by itself: the next run is at %(at)s. Run it again now, or escalate if it lasts.") % told
        )
    return _("This may pass by itself: run it again.")


def _waits(row: JobRun) -> str:
    """Say what a queued run waits for."""
    if row.job.status == Job.Status.PAUSED:
        return _("It waits: the job is paused. %(reason)s") % {"reason": row.job.paused_reason}
    if row.tenant and row.tenant.paused_at:
        return _("It waits: the tenant is paused. %(reason)s") % {"reason": row.tenant.paused_reason}
    alike = JobRun.objects.filter(job=row.job_id, tenant=row.tenant_id, status=JobRun.Status.RUNNING)
    if alike.exists():
        return _("It waits until the run before it has ended.")
    return _("It waits for a worker.")
