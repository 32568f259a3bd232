from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class IntegrationsConfig(AppConfig):
    """Services, their breakers and limits, connectors, API keys, and the door out."""

    name = "apps.integrations"
    verbose_name = _("Integrations")
