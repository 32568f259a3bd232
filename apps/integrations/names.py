"""The names by which people and systems know a service: its own, and its aliases."""

from django.utils.translation import gettext as _

from apps.actions.selections import closest
from apps.actions.verbs import NotFound
from apps.integrations.models import Service


def services_by_name() -> dict[str, Service]:
    """Return the services with their breakers by every name they have; a service's own name wins over an alias."""
    services = list(Service.objects.select_related("breaker").order_by("slug"))
    aliased = {alias: service for service in reversed(services) for alias in service.aliases}
    return aliased | {service.slug: service for service in services}


def named_service(name: str) -> Service:
    """Return a service by its name or alias; `NotFound` suggests the nearest, and lists what there is as `allowed`."""
    known = services_by_name()
    if name in known:
        return known[name]
    hint = closest(name, sorted(known))
    raise NotFound(
        _("There is no service %(slug)s; %(hint)s") % {"slug": name, "hint": hint},
        code="not_found",
        allowed=sorted(known),
    )
