from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class JobsConfig(AppConfig):
    """Queues, heartbeats, and the tick that finds what is due."""

    name = "apps.jobs"
    verbose_name = _("Jobs")

    def ready(self) -> None:
        """Make the rows of the catalogue after migrate."""
        post_migrate.connect(_make_missing, sender=self, dispatch_uid="jobs.catalogue")


def _make_missing(**_signal: Any) -> None:
    from apps.jobs import retention, scheduling

    scheduling.make_missing()
    retention.make_missing()
