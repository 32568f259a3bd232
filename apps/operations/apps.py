from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OperationsConfig(AppConfig):
    """Pending operations and their delivery."""

    name = "apps.operations"
    verbose_name = _("Operations")
