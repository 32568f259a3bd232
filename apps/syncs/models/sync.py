"""What a job reads, for whom and from where; and how far it has come."""

import datetime as dt

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.actions.models import new_id
from apps.actions.verbs import FormVerb, Verb
from apps.integrations.models import Service
from apps.jobs.models import Job, Pausable, Tenant, pausing, resuming


class Sync(Pausable):
    """From which service a job reads: for one tenant, or, between two of our own systems, for nobody in particular."""

    class Status(models.TextChoices):
        """Whether it is read."""

        ACTIVE = "active", pgettext_lazy("sync", "active")
        """The runs of its job read it."""
        PAUSED = "paused", pgettext_lazy("sync", "paused")
        """The runs of its job leave it out; how far it has come is kept."""

    policy = True
    filters = {"status": "status", "job": "job__slug", "tenant": "tenant__slug", "service": "service__slug"}
    wakes = "apps.jobs.tasks.work_off"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    job = models.ForeignKey(Job, models.PROTECT, related_name="+", verbose_name=_("job"))
    tenant = models.ForeignKey(
        Tenant,
        models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        verbose_name=_("tenant"),
        help_text=_("Left empty for jobs that carry from one of our own systems to another."),
    )
    service = models.ForeignKey(Service, models.PROTECT, related_name="+", verbose_name=_("is read from"))
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.ACTIVE, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    sync = Verb(
        _("Sync now"),
        sources=[Status.ACTIVE],
        then="apps.syncs.asking.asked_for",
        help=_("Read it now, off schedule, from where it stands. Where a run is under way, this one waits for it."),
    )
    pause = pausing(_("Leave it out of its job's runs. How far it has come is kept."))
    resume = resuming(_("Read it again, from where it stood."))
    resync = FormVerb(
        _("Sync from a date again"),
        page="syncs_sync_resync",
        asks=["since", "reason"],
        fills="apps.syncs.resyncing.filled",
        then="apps.syncs.resyncing.begun_again",
        help=_("Read again, now, what changed since a day. What is the same as we know it stays untouched."),
    )

    class Meta:
        verbose_name = _("sync")
        verbose_name_plural = _("syncs")
        ordering = ("job__slug", "tenant__slug")
        constraints = [
            models.UniqueConstraint(
                name="sync_of_tenant",
                fields=["job", "tenant"],
                nulls_distinct=False,
                violation_error_message=_("There is a sync of this job for this tenant already."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.job} · {self.tenant}" if self.tenant else str(self.job)


class SyncCursor(models.Model):
    """How far one kind of record of a sync has come. Position and records commit together: a kill loses neither."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    sync = models.ForeignKey(Sync, models.CASCADE, related_name="cursors", verbose_name=_("sync"), db_index=False)
    entity = models.CharField(_("records"), max_length=60)
    watermark = models.JSONField(_("watermark"), default=dict)
    """Where the last whole pass ended; it moves only with a pass's last page."""
    position = models.JSONField(_("position"), null=True)
    """Where the pass under way reads on; None between passes."""
    epoch = models.PositiveIntegerField(default=0)
    """Rises when a person lets it begin elsewhere: a page that was read before then is not written."""
    began_at = models.DateTimeField(_("pass began at"), null=True)
    paged_at = models.DateTimeField(_("last page at"), null=True)
    passed_at = models.DateTimeField(_("last whole pass at"), null=True)
    passed_by = models.UUIDField(null=True)
    """The run that made that pass: when it goes on after a break, it does not begin this kind of record again."""
    counts = models.JSONField(_("counts of the pass"), default=dict)
    """read = created + updated + unchanged + rejected."""
    failed_at = models.DateTimeField(_("failed at"), null=True)
    last_error = models.TextField(_("last error"), blank=True, default="")

    class Meta:
        verbose_name = _("cursor")
        verbose_name_plural = _("cursors")
        ordering = ("entity",)
        constraints = [models.UniqueConstraint(name="synccursor_entity", fields=["sync", "entity"])]

    def __str__(self) -> str:
        return self.entity

    def lag_at(self, moment: dt.datetime) -> dt.timedelta | None:
        """Return how long ago it was last read whole, None where it never was."""
        return moment - self.passed_at if self.passed_at else None
