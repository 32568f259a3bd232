from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SyncsConfig(AppConfig):
    """What is read from other systems: how far each sync is, the records it brought, and those it could not take in."""

    name = "apps.syncs"
    verbose_name = _("Syncs")
