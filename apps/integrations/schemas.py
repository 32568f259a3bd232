"""What the API shows of services, breakers and keys. Never a secret, and of a key its beginning only."""

import datetime as dt
from typing import Any
from uuid import UUID

from ninja import Schema

from apps.jobs.schemas import PausableRow


class ServiceRow(PausableRow):
    """An outside system: where it is, how fast it is called, and what the last probe said."""

    connector: str
    base_url: str
    deadline_seconds: float
    max_in_flight: int
    rate_per_second: float
    burst: int
    max_retries: int
    backoff_base_seconds: float
    backoff_cap_seconds: float
    waits_until: dt.datetime | None
    waits_because: str
    probed_at: dt.datetime | None
    probe_ok: bool | None
    probe_message: str
    probe_ms: int | None


class CircuitBreakerRow(Schema):
    """What stands between us and a service that fails."""

    id: UUID
    service: str
    status: str
    failures: int
    failure_threshold: int
    window_seconds: int
    timeout_seconds: int
    opened_at: dt.datetime | None
    reason: str
    probe_due_at: dt.datetime | None

    @staticmethod
    def resolve_service(breaker: Any) -> str:
        """The service by name."""
        return str(breaker.service.slug)


class ApiKeyRow(Schema):
    """A key that a system shows us."""

    id: UUID
    name: str
    prefix: str
    group: str
    status: str
    created_at: dt.datetime
    last_used_at: dt.datetime | None
    revoked_at: dt.datetime | None
    revoked_reason: str

    @staticmethod
    def resolve_group(key: Any) -> str:
        """The group whose permissions it acts with."""
        return str(key.group.name)
