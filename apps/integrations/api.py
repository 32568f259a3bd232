"""The API of circuit breakers: runbook 1's calls by the names of the services (S1-21, S1-53)."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router

from apps.actions.actors import Actor
from apps.actions.api import asking, listed, routes
from apps.actions.permissions import require_view
from apps.actions.running import database_now
from apps.integrations.models import CircuitBreaker
from apps.integrations.names import named_service, services_by_name
from apps.integrations.schemas import BreakerNow, Breakers, CircuitBreakerRow

circuit_breakers = Router()
Asking = asking(CircuitBreaker)


@circuit_breakers.get("", response=Breakers, summary="Show all circuit breakers", operation_id="circuitbreaker_list")
def standing(request: HttpRequest, words: Query[Asking]) -> Any:  # type: ignore[valid-type] # made from the filters
    """`services` has them all, by each name of their service; `items` the page of the list that the filter names."""
    page = listed(request, CircuitBreaker, words)
    return {"timestamp": database_now(), "services": breakers_now(), **page}


def breakers_now() -> dict[str, BreakerNow]:
    """Return all breakers by every name of their service."""
    named = services_by_name()
    return {name: BreakerNow.of(named[name].breaker) for name in sorted(named) if hasattr(named[name], "breaker")}


def breaker_id(actor: Actor, name: str) -> str:
    """Return the id of the breaker that stands before a service, by one of its names; an id stands for itself."""
    require_view(actor, CircuitBreaker)
    try:
        return str(UUID(name))
    except ValueError:
        return str(named_service(name).breaker.pk)


routes(CircuitBreaker, CircuitBreakerRow, circuit_breakers, id_of=breaker_id)
