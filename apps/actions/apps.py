from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ActionsConfig(AppConfig):
    """How rows move: verbs, steps, leases, action runs, and the faces made from them."""

    name = "apps.actions"
    verbose_name = _("History")
