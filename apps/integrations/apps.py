from django.apps import AppConfig
from django.core.checks import register
from django.utils.translation import gettext_lazy as _


class IntegrationsConfig(AppConfig):
    """Services, their breakers and limits, connectors, events and their doors, API keys, and the door out."""

    name = "apps.integrations"
    verbose_name = _("Integrations")

    def ready(self) -> None:
        """Check at start that what is named by its path is there."""
        from apps.integrations.checks import check_catalogue

        register(check_catalogue)
