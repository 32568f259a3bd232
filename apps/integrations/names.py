"""The names by which people and systems know a service: its own, and its aliases."""

from collections.abc import Sequence
from functools import cache

from django.utils.translation import gettext as _

from apps.actions.preparing import Reading
from apps.actions.selections import closest
from apps.actions.verbs import NotFound
from apps.integrations.models import CircuitBreaker, Service


def services_by_name() -> dict[str, Service]:
    """Return the services with their breakers by every name they have; a service's own name wins over an alias."""
    services = _services().rows()
    _know_breakers(services)
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


def _know_breakers(services: Sequence[Service]) -> None:
    by_id = {service.pk: service for service in services}
    breaker_of = Service._meta.get_field("breaker")
    for service in services:  # who has none is not asked for it one by one
        breaker_of.set_cached_value(service, None)
    for breaker in _breakers().rows():
        if breaker.service_id in by_id:  # it may have come between the two looks
            breaker.service = by_id[breaker.service_id]


@cache
def _services() -> Reading[Service]:
    return Reading(Service.objects.order_by("slug"))


@cache
def _breakers() -> Reading[CircuitBreaker]:
    return Reading(CircuitBreaker.objects.all())
