"""The heartbeats of everything that must not fall silent."""

import datetime as dt

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

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
