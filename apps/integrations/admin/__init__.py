"""The pages of services, endpoints, events and keys."""

from apps.integrations.admin.endpoints import EndpointAdmin
from apps.integrations.admin.events import EventSourceAdmin, IntegrationEventAdmin
from apps.integrations.admin.keys import AccessRefusalAdmin, ApiKeyAdmin, RateLimitAdmin
from apps.integrations.admin.services import CircuitBreakerAdmin, ServiceAdmin

__all__ = [
    "AccessRefusalAdmin",
    "ApiKeyAdmin",
    "CircuitBreakerAdmin",
    "EndpointAdmin",
    "EventSourceAdmin",
    "IntegrationEventAdmin",
    "RateLimitAdmin",
    "ServiceAdmin",
]
