from django.apps import AppConfig
from django.core.checks import register
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class ActionsConfig(AppConfig):
    """How rows move: verbs, steps, leases, action runs, and the faces made from them."""

    name = "apps.actions"
    verbose_name = _("History")

    def ready(self) -> None:
        """Check the declarations at start, and make their permissions after migrate."""
        from apps.actions.checks import check_moves
        from apps.actions.permissions import ship_permissions

        register(check_moves)
        # Django's own hook behind migrate, the only signal we listen to: permissions come from declarations.
        post_migrate.connect(ship_permissions, dispatch_uid="actions.permissions")
