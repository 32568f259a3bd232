"""Services and what stands around them: breakers, API keys, and the records of doubled requests."""

from apps.integrations.models.key import ApiKey, IdempotencyRecord
from apps.integrations.models.service import CircuitBreaker, Service

__all__ = ["ApiKey", "CircuitBreaker", "IdempotencyRecord", "Service"]
