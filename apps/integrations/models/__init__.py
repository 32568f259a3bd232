"""Services and what stands around them: breakers, endpoints and their mappings, API keys, the records of doubled requests."""

from apps.integrations.models.access import AccessRefusal, RateLimit
from apps.integrations.models.endpoint import Endpoint, MappingVersion
from apps.integrations.models.key import ApiKey, IdempotencyRecord, KeyUse
from apps.integrations.models.service import CircuitBreaker, Service

__all__ = [
    "AccessRefusal",
    "ApiKey",
    "CircuitBreaker",
    "Endpoint",
    "IdempotencyRecord",
    "KeyUse",
    "MappingVersion",
    "RateLimit",
    "Service",
]
