"""How the commands find the service that is meant."""

from django.utils.translation import gettext as _

from apps.actions.selections import closest
from apps.actions.verbs import NotFound
from apps.integrations.models import Service


def named_service(slug: str) -> Service:
    """Return a service by its name; `NotFound` suggests the nearest."""
    found = Service.objects.filter(slug=slug).first()
    if found is None:
        known = list(Service.objects.values_list("slug", flat=True))
        hint = closest(slug, known) if known else _("there is none yet.")
        raise NotFound(_("There is no service %(slug)s; %(hint)s") % {"slug": slug, "hint": hint})
    return found
