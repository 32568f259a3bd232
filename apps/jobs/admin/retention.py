"""The retention desk: what is kept for how long, how large it is, what goes next, and the disk budget."""

import datetime as dt
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy

from apps.actions.admin import NOTHING, PolicyAdmin, age, badge, figure
from apps.actions.admin.pages import Told
from apps.jobs import growth
from apps.jobs.models import ArchiveFile, Job, JobRun, RetentionPolicy, StorageBudget
from apps.jobs.retention import CLEANUP, catalogue, days_of, model_of, oldest, told_by_environment

SOON_DAYS = 30
"""A budget that is full within so many days is shown as a warning."""
YEAR = 365
FILES_SHOWN = 20


@admin.register(RetentionPolicy)
class RetentionPolicyAdmin(PolicyAdmin[RetentionPolicy]):
    """Retention: how long rows are kept, and what the last purge took (S1-91, S3-38)."""

    list_display = ("what", "state", "kept_for", "rows", "size", "grows", "oldest_row", "last_purge", "row_verbs")
    change_list_template = "jobs/retention.html"
    change_form_template = "jobs/retention_policy.html"
    fieldsets = (
        (None, {"fields": ("days", "archives")}),
        (
            gettext_lazy("What it is about"),
            {"fields": ("what", "kept_for", "source", "stays", "held", "rows", "size", "grows", "oldest_row")},
        ),
        (gettext_lazy("The last purge"), {"fields": ("last_purge", "last_error", "last_run", "files")}),
    )
    readonly_fields = (
        *("what", "kept_for", "source", "stays", "held", "rows", "size", "grows", "oldest_row"),
        *("last_purge", "last_error", "last_run", "files"),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Which tables there are, the code says."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: RetentionPolicy | None = None) -> bool:
        """Without its policy a table would grow for ever, in silence."""
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave out policies that this version no longer knows."""
        return super().get_queryset(request).filter(slug__in=list(catalogue()))

    def changelist_view(self, request: HttpRequest, extra_context: Told | None = None) -> HttpResponse:
        """Show the desk: the database and its budget above, a line for each policy below."""
        return super().changelist_view(request, {"tiles": _tiles()} | (extra_context or {}))

    def complete_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        super().complete_rows(request, rows)
        _measure(rows)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> RetentionPolicy | None:
        """Return the policy with what its page shows beside its columns."""
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            _measure([row])
        return row

    def get_readonly_fields(self, request: HttpRequest, obj: RetentionPolicy | None = None) -> Any:
        """Do not offer days that the environment overrides."""
        fixed = ("days",) if obj and told_by_environment(obj.slug) else ()
        return (*super().get_readonly_fields(request, obj), *fixed)

    def told(self, request: HttpRequest, row: RetentionPolicy) -> Told:
        lead = _("Held: %(reason)s") % {"reason": row.held_reason} if row.held_at else row.last_error
        may = "purge" in self.permitted(request) and row.status == RetentionPolicy.Status.ACTIVE
        dry = self.verb_url(RetentionPolicy.purge, row) if may else ""
        return super().told(request, row) | {"lead": lead, "title": self.what(row), "dry_run_url": dry}

    @admin.display(description=gettext_lazy("rows of"), ordering="slug")
    def what(self, row: RetentionPolicy) -> str:
        return str(catalogue()[row.slug].what)

    @admin.display(description=gettext_lazy("kept for"))
    def kept_for(self, row: RetentionPolicy) -> str:
        days = days_of(row)
        words = ngettext("%(days)s day", "%(days)s days", days) % {"days": days}
        if told_by_environment(row.slug):
            name = catalogue()[row.slug].environment
            return format_html(
                '{} <span class="soft">{}</span>', words, _("set by the environment: %(name)s") % {"name": name}
            )
        return format_html('{} <span class="soft">{}</span>', words, _("then archived")) if row.archives else words

    @admin.display(description=gettext_lazy("comes from"))
    def source(self, row: RetentionPolicy) -> str:
        return catalogue()[row.slug].source

    @admin.display(description=gettext_lazy("what stays"))
    def stays(self, row: RetentionPolicy) -> str:
        always = _("Whatever an open dead letter, an action run under way or another row still needs stays.")
        return f"{catalogue()[row.slug].stays} {always}".strip()

    @admin.display(description=pgettext_lazy("retention policy", "held"))
    def held(self, row: RetentionPolicy) -> str:
        if not row.held_at:
            return NOTHING
        words = _("{since}, ends {until}: {reason}") if row.held_until else _("{since}: {reason}")
        return format_html(words, since=age(row.held_at), until=age(row.held_until), reason=row.held_reason)

    @admin.display(description=gettext_lazy("rows in the table"))
    def rows(self, row: Any) -> str:
        return _("about %(count)s") % {"count": figure(row.size_now.rows)}

    @admin.display(description=gettext_lazy("on disk"))
    def size(self, row: Any) -> str:
        return filesizeformat(row.size_now.bytes)

    @admin.display(description=gettext_lazy("gains a day"))
    def grows(self, row: Any) -> str:
        if row.growth is None:
            return NOTHING
        told = {"rows": figure(round(row.growth.rows)), "size": filesizeformat(row.growth.bytes)}
        return _("%(rows)s rows, %(size)s") % told

    @admin.display(description=gettext_lazy("oldest"))
    def oldest_row(self, row: Any) -> str:
        is_past = row.oldest_at and row.oldest_at < dt.datetime.now(
            dt.UTC
        )  # only for reading: a session may yet expire
        return age(row.oldest_at) if is_past else NOTHING

    @admin.display(description=gettext_lazy("last purge"))
    def last_purge(self, row: RetentionPolicy) -> SafeString | str:
        if not row.ran_at:
            return NOTHING
        words = ngettext("%(count)s row deleted", "%(count)s rows deleted", row.deleted) % {
            "count": figure(row.deleted)
        }
        wrong = badge("failed", _("ended early")) if row.last_error else ""
        return format_html("{}: {} {}", age(row.ran_at), words, wrong)

    @admin.display(description=gettext_lazy("its run"))
    def last_run(self, row: RetentionPolicy) -> str:
        run = JobRun.objects.filter(pk=row.run_id).first() if row.run_id else None
        return (
            format_html('<a href="{}">{}</a>', reverse("admin:jobs_jobrun_change", args=[run.pk]), run)
            if run
            else NOTHING
        )

    @admin.display(description=gettext_lazy("files"))
    def files(self, row: RetentionPolicy) -> str:
        made = ArchiveFile.objects.filter(policy=row.slug)[:FILES_SHOWN]
        told = ((f"{file.path}: {figure(file.rows)}, {filesizeformat(file.bytes)}",) for file in made)
        return format_html_join("", "<div>{}</div>", told) or NOTHING


@admin.register(StorageBudget)
class StorageBudgetAdmin(admin.ModelAdmin[StorageBudget]):
    """The one disk budget: an ordinary form, audited by Django's log."""

    fields = ("gigabytes",)
    actions = None

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> StorageBudget | None:
        """Return the budget as it holds, whether anybody has changed it yet or not."""
        return StorageBudget.current() if object_id == "1" else None

    def has_view_permission(self, request: HttpRequest, obj: StorageBudget | None = None) -> bool:
        """It is part of the desk."""
        return bool(request.user.has_perm("jobs.view_retentionpolicy"))

    def has_change_permission(self, request: HttpRequest, obj: StorageBudget | None = None) -> bool:
        """Whoever may say how long rows are kept may say how much room they have."""
        return bool(request.user.has_perm("jobs.change_retentionpolicy"))

    def has_module_permission(self, request: HttpRequest) -> bool:
        """It is reached from the desk."""
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is one."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Without it the default would hold in silence."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Told | None = None) -> HttpResponse:
        """Lead to the budget itself: a list of one row tells nothing."""
        return HttpResponseRedirect(reverse("admin:jobs_storagebudget_change", args=[1]))


def _measure(rows: list[Any]) -> None:
    """Let each policy know how large its table is, how fast it grows and how old its oldest row is: three queries for all."""
    slugs = [row.slug for row in rows]
    found, gains, ages = growth.sizes(growth.tables()), growth.growth(), oldest(slugs)
    for row in rows:
        table = model_of(catalogue()[row.slug])._meta.db_table
        row.size_now, row.growth, row.oldest_at = found[table], gains.get(table), ages.get(row.slug)


def _tiles() -> list[Told]:
    whole, gains = growth.sizes([])[growth.WHOLE], growth.growth().get(growth.WHOLE)
    budget = StorageBudget.current()
    left = growth.days_until_full(whole, gains)
    job = Job.objects.filter(slug=CLEANUP).first()
    return [
        {"label": _("Database on disk"), "words": filesizeformat(whole.bytes)},
        {"label": _("Gains a day"), "words": filesizeformat(gains.bytes) if gains else NOTHING},
        {
            "label": _("Disk budget full"),
            "words": _full(left, gains),
            "breached": left is not None and left < SOON_DAYS,
            "threshold": _("budget %(size)s") % {"size": filesizeformat(budget.gigabytes * growth.GIGABYTE)},
            "url": reverse("admin:jobs_storagebudget_change", args=[1]),
        },
        {"label": _("Next purge"), "words": _next(job), "url": _job_url(job)},
    ]


def _full(left: float | None, gains: growth.Growth | None) -> str:
    if left is None:
        return _("not in sight") if gains else _("known in a day")
    if left < 1:
        return _("now")
    if left > YEAR:
        return _("in more than a year")
    return ngettext("in %(days)s day", "in %(days)s days", int(left)) % {"days": figure(int(left))}


def _next(job: Job | None) -> str:
    if job is None:
        return NOTHING
    if job.status != Job.Status.ACTIVE:
        return _("paused")
    return age(job.next_at)


def _job_url(job: Job | None) -> str:
    return reverse("admin:jobs_job_change", args=[job.pk]) if job else ""
