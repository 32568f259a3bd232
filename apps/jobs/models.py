"""Queues and tenants that can be paused, and the heartbeats of everything that must not fall silent."""

import datetime as dt

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.actions.models import new_id
from apps.actions.verbs import Acted, Given, Verb, Words


class Pausable(Acted):
    """A noun that a person can hold: why, by whom and until when stands on the row."""

    paused_at = models.DateTimeField(_("paused at"), null=True, blank=True, editable=False)
    paused_reason = models.TextField(_("paused because"), blank=True, default="", editable=False)
    paused_until = models.DateTimeField(_("paused until"), null=True, blank=True, editable=False)

    class Meta:
        abstract = True


def pausing(help: Words) -> Verb:
    """Return the verb that holds a row, until a moment or until somebody resumes it."""
    return Verb(
        _("Pause"),
        sources=["active"],
        target="paused",
        sets={"paused_at": Now(), "paused_reason": Given("reason"), "paused_until": Given("until")},
        asks=["reason", "until"],
        help=help,
    )


def resuming(help: Words) -> Verb:
    """Return the verb that lets a held row go on."""
    sets = {"paused_at": None, "paused_reason": "", "paused_until": None}
    return Verb(_("Resume"), sources=["paused"], target="active", sets=sets, help=help)


class Queue(Pausable):
    """A named lane of work that can be paused without touching the others."""

    class Status(models.TextChoices):
        """Whether workers take from the queue."""

        ACTIVE = "active", pgettext_lazy("queue", "active")
        """Workers take its rows as they fall due."""
        PAUSED = "paused", pgettext_lazy("queue", "paused")
        """Rows are taken in and stay; workers pass them by."""

    policy = True
    filters = {"status": "status", "slug": "slug"}
    searches = ("slug__icontains", "name__icontains")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    slug = models.SlugField(_("name"), max_length=60, unique=True)
    name = models.CharField(_("what it carries"), max_length=120)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.ACTIVE, editable=False)
    concurrency = models.PositiveSmallIntegerField(
        _("workers at once"), default=2, help_text=_("So many workers take from this queue at the same time.")
    )
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


class Tenant(Pausable):
    """A company whose data is carried; its work can be held apart from everybody else's."""

    class Status(models.TextChoices):
        """Whether the tenant's work is carried."""

        ACTIVE = "active", pgettext_lazy("tenant", "active")
        """Its work is carried."""
        PAUSED = "paused", pgettext_lazy("tenant", "paused")
        """Its work is kept and passed by."""

    policy = True
    filters = {"status": "status", "slug": "slug"}
    searches = ("slug__icontains", "name__icontains")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    slug = models.SlugField(_("short name"), max_length=60, unique=True)
    name = models.CharField(_("name"), max_length=200)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.ACTIVE, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    pause = pausing(_("Hold this tenant's work: it is still taken in and waits."))
    resume = resuming(_("Carry this tenant's work again."))

    class Meta:
        verbose_name = _("tenant")
        verbose_name_plural = _("tenants")
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.slug


MISSED = 3
"""So many missed intervals make a heartbeat a dead one."""


class Heartbeat(models.Model):
    """When something that must run at intervals last did: three missed intervals are shown as a dead man's switch."""

    name = models.CharField(_("name"), max_length=60, primary_key=True)
    interval_seconds = models.PositiveIntegerField(_("interval in seconds"))
    beat_at = models.DateTimeField(_("last beat"), db_default=Now())

    class Meta:
        verbose_name = _("heartbeat")
        verbose_name_plural = _("heartbeats")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def silent_at(self, moment: dt.datetime) -> bool:
        """Say whether it had missed three intervals at a moment of the database's clock."""
        return moment - self.beat_at > MISSED * dt.timedelta(seconds=self.interval_seconds)
