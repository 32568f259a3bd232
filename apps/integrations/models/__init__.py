"""Services and what stands around them: breakers, endpoints and mappings, events and sources, API keys, doubled requests."""

from apps.integrations.models.access import AccessRefusal, RateLimit
from apps.integrations.models.endpoint import Endpoint, MappingVersion
from apps.integrations.models.event import EventSource, IntegrationEvent, SourceRefusal
from apps.integrations.models.key import ApiKey, IdempotencyRecord, KeyUse
from apps.integrations.models.service import CircuitBreaker, Service

__all__ = [
    "AccessRefusal",
    "ApiKey",
    "CircuitBreaker",
    "Endpoint",
    "EventSource",
    "IdempotencyRecord",
    "IntegrationEvent",
    "KeyUse",
    "MappingVersion",
    "RateLimit",
    "Service",
    "SourceRefusal",
]
