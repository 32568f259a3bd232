from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class JobsConfig(AppConfig):
    """Queues, heartbeats, and the tick that finds what is due."""

    name = "apps.jobs"
    verbose_name = _("Jobs")
