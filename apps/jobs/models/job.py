"""Jobs: work that comes round by a schedule or is asked for, and each of its runs."""

import datetime as dt

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from apps.actions.leases import RELEASED
from apps.actions.models import new_id, short
from apps.actions.verbs import Given, Step, Verb
from apps.deadletters.failing import (
    ARCHIVED,
    FORGOTTEN,
    POISON,
    WHY,
    Failing,
    archiving,
    giving_up_on_silence,
    rescuing,
    restoring,
)
from apps.jobs.models.pausing import Pausable, pausing, resuming
from apps.jobs.models.tenant import Tenant
from apps.jobs.slots import BadSchedule, Schedule


def default_zone() -> str:
    """Return the time zone that schedules are read in where nothing else is said."""
    return str(settings.OPS_TIME_ZONE)


class Job(Pausable):
    """Work with a schedule (S1-112). What it does stands in the catalogue; when and how, here."""

    class Status(models.TextChoices):
        """Whether it is run."""

        ACTIVE = "active", pgettext_lazy("job", "active")
        """Its slots become runs."""
        PAUSED = "paused", pgettext_lazy("job", "paused")
        """No slot becomes a run, and what waits is not begun. Slots that pass meanwhile are not made up."""

    class Overlap(models.TextChoices):
        """What becomes of a slot that comes while the run before is still under way."""

        SKIP = "skip", _("left out: the next slot does its work")
        """The slot is kept as superseded, and says so."""
        WAIT = "wait", _("waits until the run before has ended")
        """It is queued; of one job and tenant no two runs are under way."""

    class Misfire(models.TextChoices):
        """What becomes of slots that passed while nothing ticked."""

        LATEST = "latest", _("the last of them is made up")
        """One run stands for all that were missed."""
        SKIP = "skip", _("none is made up")
        """They are kept as superseded, and say so."""

    policy = True
    held_after_restore = True
    filters = {"status": "status", "slug": "slug", "because": "paused_reason"}
    searches = ("slug__icontains", "name__icontains")
    wakes = "apps.jobs.tasks.work_off"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    slug = models.SlugField(_("short name"), max_length=60, unique=True)
    name = models.CharField(_("what it does"), max_length=120)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.ACTIVE, editable=False)
    cron = models.CharField(
        _("schedule"),
        max_length=100,
        blank=True,
        default="",
        help_text=_(
            "Minute, hour, day, month, weekday: `0 3 * * *` is every day at 3:00, `0 4 * * SUN#1` the first Sunday of each "
            "month at 4:00. A time that the clock skips is made up at the first moment after it; one that comes twice "
            "counts once."
        ),
    )
    every_seconds = models.PositiveIntegerField(
        _("or every so many seconds"), null=True, blank=True, validators=[MinValueValidator(5)]
    )
    zone = models.CharField(
        _("time zone"), max_length=60, default=default_zone, help_text=_("The schedule is read in its local time.")
    )
    overlap = models.CharField(_("a slot that meets a run"), max_length=10, choices=Overlap, default=Overlap.SKIP)
    misfire = models.CharField(_("slots that were missed"), max_length=10, choices=Misfire, default=Misfire.LATEST)
    grace_seconds = models.PositiveIntegerField(
        _("late after (seconds)"),
        default=300,
        validators=[MinValueValidator(15)],
        help_text=_("A slot that is found later than this was missed; a run that waits longer is shown as late."),
    )
    timeout_seconds = models.PositiveIntegerField(
        _("longest run (seconds)"), default=3600, validators=[MinValueValidator(1)]
    )
    next_at = models.DateTimeField(_("next run"), null=True, blank=True, editable=False)
    """The next slot that is no run yet. Left open, the tick works it out, from `planned_from` on."""
    planned_from = models.DateTimeField(db_default=Now(), editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    run = Verb(
        _("Run now"),
        sources=[Status.ACTIVE],
        asks=["tenant"],
        then="apps.jobs.scheduling.asked_for",
        help=_("Run it now, off schedule. Where a run is under way, this one waits for it."),
    )
    pause = pausing(_("Begin no run of it. A run that is under way goes on; what is known of earlier runs stays."))
    resume = resuming(
        _("Run it by its schedule again. What was missed meanwhile is not made up."),
        next_at=None,
        planned_from=Now(),
    )

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        ordering = ("slug",)
        constraints = [
            models.CheckConstraint(name="job_one_schedule", condition=Q(cron="") | Q(every_seconds__isnull=True))
        ]
        indexes = [models.Index(name="job_next", fields=["next_at"], condition=Q(status="active"))]

    def __str__(self) -> str:
        return self.slug

    def clean(self) -> None:
        """Refuse a schedule that cannot be read."""
        if self.cron and self.every_seconds:
            raise ValidationError({"every_seconds": gettext("Give a schedule or an interval, not both.")})
        try:
            self.schedule.check()
        except BadSchedule as error:
            raise ValidationError({error.field: str(error)}) from error

    def save(self, *args: object, **kwargs: object) -> None:
        """Save it, and let the tick work out the next slot anew: the schedule may be another one now."""
        self.next_at, self.planned_from = None, Now()
        super().save(*args, **kwargs)  # type: ignore[arg-type] # passed on as they came

    @property
    def schedule(self) -> Schedule:
        """When it comes round."""
        return Schedule(self.cron, self.every_seconds, self.zone)


FOR_PEOPLE = {"finished_at": Now(), **RELEASED}
"""What ends a run."""
QUEUED_AGAIN = {**RELEASED, "due_at": Now()}


class JobRun(Failing):
    """One run of a job: for which slot, for which tenant, and what came of it (S3-29)."""

    class Status(models.TextChoices):
        """Where a run stands."""

        QUEUED = "queued", pgettext_lazy("job run", "queued")
        """Waits for a worker."""
        RUNNING = "running", pgettext_lazy("job run", "running")
        """A worker holds it under a lease."""
        SUCCEEDED = "succeeded", pgettext_lazy("job run", "succeeded")
        """Done; `counts` says what."""
        FAILED = "failed", pgettext_lazy("job run", "failed")
        """Ended with an error that nothing has made up for yet."""
        SUPERSEDED = "superseded", pgettext_lazy("job run", "superseded")
        """A later run did its work, a person settled it, or its slot was left out."""

    UNDER_WAY = (Status.QUEUED, Status.RUNNING)
    MISSED = "missed"
    """The error type of a slot that nothing opened in time."""

    filters = {
        "status": "status",
        "job": "job__slug",
        "tenant": "tenant__slug",
        "class": "failure_class",
        "error": "error_type",
        "archived": "archived_at__isnull",
        "slower": "duration__gte",
        "since": "created_at__gte",
        "before": "created_at__lt",
    }
    searches = ("last_error__icontains", "job__slug")
    settles = {"confirmed": Q(status="superseded"), "failed_again": Q(status="failed", rerun_asked_at__isnull=True)}
    wakes = "apps.jobs.tasks.work_off"
    dead_letter = {
        "service": "service",
        "title": "job__slug",
        "error_type": "error_type",
        "failure_class": "failure_class",
        "message": "last_error",
        "attempts": "attempts",
        "tenant": "tenant__slug",
    }
    """What its dead letter carries, and the column each comes from."""
    dead_letter_verbs = {"retry": "rerun", "resolve": "resolve", "archive": "archive", "restore": "restore"}
    """Which of its verbs a dead letter's verbs run."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.QUEUED, editable=False)
    job = models.ForeignKey(Job, models.PROTECT, related_name="runs", verbose_name=_("job"), db_index=False)
    tenant = models.ForeignKey(
        Tenant, models.PROTECT, related_name="runs", null=True, blank=True, verbose_name=_("tenant"), db_index=False
    )
    slot_at = models.DateTimeField(_("slot"), null=True, blank=True, editable=False)
    """The moment of its schedule; empty for one that was asked for."""
    rerun_of = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="reruns", verbose_name=_("rerun of")
    )
    rerun_asked_at = models.DateTimeField(null=True, blank=True, editable=False)
    """Since when a rerun of it is under way."""
    given = models.JSONField(_("asked with"), default=dict, blank=True)
    """What the handler is told beyond the job and the tenant, such as `{"dry_run": true}`."""
    asked_by = models.CharField(_("asked for by"), max_length=150, blank=True, default="")
    service = models.CharField(_("service"), max_length=60, blank=True, default="")
    """The far end that an error came from."""
    counts = models.JSONField(_("counts"), default=dict, blank=True)
    """What it has done so far, by the handler's own words; committed with the work that they count."""
    expected = models.PositiveBigIntegerField(_("expected"), null=True, blank=True)
    """How much it expects to do, as far as it knows."""
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    duration = models.GeneratedField(
        expression=F("finished_at") - F("started_at"), output_field=models.DurationField(), db_persist=True
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    rerun = Verb(
        _("Run again"),
        sources=[Status.FAILED],
        unless=[ARCHIVED, (Q(rerun_asked_at__isnull=False), _("a rerun of it is under way already"))],
        sets={"rerun_asked_at": Now()},
        then="apps.jobs.scheduling.asked_again",
        paced=True,
        help=_("Run the job again now, for the same tenant. This run is superseded when the new one succeeds."),
    )
    resolve = Verb(
        _("Resolve"),
        sources=[Status.FAILED],
        unless=[ARCHIVED],
        target=Status.SUPERSEDED,
        sets={"resolution_note": Given("note")},
        asks=["note"],
        then="apps.deadletters.inbox.resolved",
        help=_("Say that its work is done by other means."),
    )
    cancel = Verb(
        _("Cancel"),
        sources=[Status.QUEUED, Status.RUNNING],
        target=Status.FAILED,
        sets={
            **FOR_PEOPLE,
            "error_type": "cancelled",
            "last_error": Given("reason"),
            "failed_at": Now(),
            "archived_at": Now(),
            "archive_reason": Given("reason"),
        },
        asks=["reason"],
        then="apps.jobs.scheduling.let_go",
        danger=True,
        help=_("Stop it. What it has committed so far stays; the next run goes on from there."),
    )
    archive = archiving(_("Put it away. It leaves counts, alerts and bulk verbs until it is restored."))
    restore = restoring(_("Bring it back among the failed ones."))

    claim = Step(
        _("Start"),
        sources=[Status.QUEUED],
        target=Status.RUNNING,
        sets={"started_at": Coalesce(F("started_at"), Now())},
    )
    """A worker takes it under a lease and a token; no other run of its job and tenant is under way."""
    finish = Step(
        _("Finish"),
        sources=[Status.RUNNING],
        target=Status.SUCCEEDED,
        sets={**FORGOTTEN, "finished_at": Now(), "attempts": F("attempts") + 1},
        then="apps.jobs.scheduling.succeeded",
    )
    """Done: what failed before it for the same tenant is superseded in the same transaction."""
    fail = Step(
        _("Fail"),
        sources=[Status.RUNNING],
        target=Status.FAILED,
        sets={
            **WHY,
            "service": Given("service"),
            "finished_at": Now(),
            "failed_at": Now(),
            "attempts": F("attempts") + 1,
        },
        then="apps.jobs.scheduling.failed",
    )
    """Ended with an error. The schedule brings the next run; a rerun is a person's."""
    give_back = Step(_("Give back"), sources=[Status.RUNNING], target=Status.QUEUED, sets={"due_at": Now()})
    """Its worker stops, or others have waited long enough: it goes on later, from what it has committed."""
    time_out = Step(
        _("Time out"),
        sources=[Status.RUNNING],
        target=Status.FAILED,
        sets={
            **FOR_PEOPLE,
            "failed_at": Now(),
            "failure_class": "transient",
            "error_type": "timeout",
            "last_error": Given("last_error"),
        },
        then="apps.jobs.scheduling.failed",
    )
    """Under way for longer than the job allows; what it still tries to write is refused."""
    rescue = rescuing(Status.QUEUED, held=Status.RUNNING)
    """Its worker fell silent: it goes on elsewhere, from what it has committed."""
    bury = giving_up_on_silence(held=Status.RUNNING, then="apps.jobs.scheduling.failed", finished_at=Now(), **POISON)
    """It took its worker down four times without getting further in between."""
    leave_out = Step(
        _("Leave out"),
        sources=[Status.QUEUED],
        target=Status.SUPERSEDED,
        sets={"error_type": Given("error_type"), "last_error": Given("last_error")},
    )
    """Its slot came too late, or while the run before was under way: as it is inserted, in the same transaction."""
    supersede = Step(
        _("Supersede"),
        sources=[Status.FAILED],
        target=Status.SUPERSEDED,
        then="apps.deadletters.inbox.settled",
    )
    """A later run did its work."""

    class Meta:
        verbose_name = _("job run")
        verbose_name_plural = _("job runs")
        ordering = ("-id",)
        constraints = [
            # Two beats, a re-fire after a crash, a doubled message: a slot becomes one run.
            models.UniqueConstraint(
                name="jobrun_slot",
                fields=["job", "tenant", "slot_at"],
                condition=Q(slot_at__isnull=False),
                nulls_distinct=False,
            ),
            # Of one job and tenant one run at a time, whoever claims.
            models.UniqueConstraint(
                name="jobrun_alone", fields=["job", "tenant"], condition=Q(status="running"), nulls_distinct=False
            ),
        ]
        indexes = [
            models.Index(name="jobrun_due", fields=["due_at", "id"], condition=Q(status="queued")),
            models.Index(name="jobrun_leased", fields=["lease_until"], condition=Q(status="running")),
            models.Index(name="jobrun_status", fields=["status", "id"], condition=Q(archived_at__isnull=True)),
            # The last run of a job.
            models.Index(name="jobrun_newest", fields=["job", "id"]),
            # The last run, the last success and the failures of a job and tenant.
            models.Index(name="jobrun_of_job", fields=["job", "tenant", "status", "id"]),
            models.Index(name="jobrun_of_tenant", fields=["tenant", "id"], condition=Q(tenant__isnull=False)),
            models.Index(name="jobrun_slowest", fields=["job", "-duration"], condition=Q(duration__isnull=False)),
            models.Index(name="jobrun_missed", fields=["slot_at"], condition=Q(error_type="missed")),
            models.Index(name="jobrun_made", fields=["created_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.job.slug} {short(self.pk)}"

    @property
    def over_at(self) -> dt.datetime | None:
        """When it will have taken longer than its job allows."""
        return self.started_at + dt.timedelta(seconds=self.job.timeout_seconds) if self.started_at else None
