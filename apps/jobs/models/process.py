"""The processes that this console is made of: each says every few seconds that it lives."""

import datetime as dt

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.actions.models import new_id
from apps.jobs.models.heartbeat import MISSED

BEAT_SECONDS = 5
"""A process gives a sign of life so often; after three intervals without one it is shown as silent."""
SILENT_AFTER = MISSED * dt.timedelta(seconds=BEAT_SECONDS)


class Process(models.Model):
    """One process of ours that runs, or fell silent. One that ends in order takes its row with it."""

    class Kind(models.TextChoices):
        """What it does."""

        WEB = "web", pgettext_lazy("process", "web")
        """Answers pages and calls."""
        WORKER = "worker", pgettext_lazy("process", "worker")
        """Carries work, in processes of its own pool."""
        TICKER = "ticker", pgettext_lazy("process", "ticker")
        """The worker that the tick has for itself."""
        BEAT = "beat", pgettext_lazy("process", "beat")
        """Asks for the tick."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(_("process"), max_length=120)
    """Host and process id, as leases name their holders."""
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    node = models.CharField(_("node"), max_length=200, blank=True, default="")
    """What Celery calls it."""
    queues = ArrayField(models.CharField(max_length=60), verbose_name=_("messages it takes"), default=list)
    holders = ArrayField(models.CharField(max_length=120), default=list)
    """The names under which it holds leases: its own, and those of its pool's processes."""
    concurrency = models.PositiveSmallIntegerField(_("at once"), null=True)
    version = models.CharField(_("version"), max_length=40, blank=True, default="")
    restarted_by = models.CharField(_("started again by"), max_length=60, blank=True, default="")
    """What starts it again when it has ended; empty where nobody is known to."""
    secrets = models.JSONField(default=dict)
    """A keyed fingerprint of each secret that it read at its start. Never the secret."""
    since = models.DateTimeField(_("since"), db_default=Now())
    beat_at = models.DateTimeField(_("last sign of life"), db_default=Now())

    class Meta:
        verbose_name = _("process")
        verbose_name_plural = _("processes")
        ordering = ("kind", "node", "name")

    def __str__(self) -> str:
        return self.node or self.name

    @property
    def drains(self) -> bool:
        """Whether it carries what waits in queues; other workers have jobs or the tick for themselves."""
        return self.kind == self.Kind.WORKER and settings.CELERY_TASK_DEFAULT_QUEUE in self.queues

    def silent_at(self, moment: dt.datetime) -> bool:
        """Say whether it had been silent for three intervals at a moment of the database's clock."""
        return moment - self.beat_at > SILENT_AFTER


LIVE = Q(beat_at__gte=Now() - SILENT_AFTER)
"""Processes that gave a sign of life within three intervals."""


def live(*kinds: str) -> QuerySet[Process]:
    """Return the processes that live, of some kinds or of all."""
    rows = Process.objects.filter(LIVE)
    return rows.filter(kind__in=kinds) if kinds else rows


def draining() -> list[Process]:
    """Return the live workers that carry what waits in queues."""
    return [row for row in live(Process.Kind.WORKER) if row.drains]
