"""Lanes of work."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.actions.models import new_id
from apps.jobs.models.pausing import Pausable, pausing, resuming


class Queue(Pausable):
    """A named lane of work that can be paused without touching the others."""

    class Status(models.TextChoices):
        """Whether workers take from the queue."""

        ACTIVE = "active", pgettext_lazy("queue", "active")
        """Workers take its rows as they fall due."""
        PAUSED = "paused", pgettext_lazy("queue", "paused")
        """Rows are taken in and stay; workers pass them by."""

    policy = True
    held_after_restore = True
    filters = {"status": "status", "slug": "slug", "because": "paused_reason"}
    searches = ("slug__icontains", "name__icontains")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    slug = models.SlugField(_("name"), max_length=60, unique=True)
    name = models.CharField(_("what it carries"), max_length=120)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.ACTIVE, editable=False)
    concurrency = models.PositiveSmallIntegerField(
        _("workers at once"), default=2, help_text=_("So many workers take from this queue at the same time.")
    )
    most_waiting = models.PositiveIntegerField(_("rows waiting"), default=500)
    longest_wait_seconds = models.PositiveIntegerField(_("seconds overdue"), default=60)
    """Above either it grows, and its page says what to do (S1-72; runbook 1 §6 calls 60 s in a queue critical)."""
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    pause = pausing(_("Hold the queue: work is still taken in and waits. It survives every restart."))
    resume = resuming(_("Let workers take from the queue again."))

    class Meta:
        verbose_name = _("queue")
        verbose_name_plural = _("queues")
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.slug
