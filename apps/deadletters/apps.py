from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DeadLettersConfig(AppConfig):
    """Work given up on, of any kind, waiting for a person."""

    name = "apps.deadletters"
    verbose_name = _("Dead letters")
