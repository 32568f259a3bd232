"""What the API shows of services, breakers, events and keys. Never a secret, and of a key its beginning only."""

import datetime as dt
from typing import Any
from uuid import UUID

from django.utils.module_loading import import_string
from ninja import Schema
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from apps.actions.schemas import Leaving, WithHistory
from apps.integrations import arrivals, catalogue
from apps.integrations.masking import masked
from apps.integrations.models import CircuitBreaker, Endpoint, IntegrationEvent, Service
from apps.jobs.schemas import PausableRow

VERSIONS_SHOWN = 100


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

    @staticmethod
    def resolve_probe_message(service: Service) -> str:
        """Tell what the last probe said."""
        return service.probe_said


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


class BreakerNow(Schema):
    """A circuit breaker as runbook 1 reads it (S1-30): `opened_at` in seconds since 1970."""

    service: str
    state: str
    failure_count: int
    failure_threshold: int
    timeout_seconds: int
    opened_at: float | None
    forced: bool
    reason: str
    next_probe_at: dt.datetime | None

    @classmethod
    def of(cls, breaker: CircuitBreaker) -> "BreakerNow":
        """Tell a breaker."""
        return cls(
            service=breaker.service.slug,
            state=breaker.status,
            failure_count=breaker.failures,
            failure_threshold=breaker.failure_threshold,
            timeout_seconds=breaker.timeout_seconds,
            opened_at=breaker.opened_at.timestamp() if breaker.opened_at else None,
            forced=breaker.forced,
            reason=breaker.reason,
            next_probe_at=breaker.probe_due_at,
        )


class Breakers(Schema):
    """All circuit breakers by every name of their service (S1-21), and the page of the list that was asked for."""

    timestamp: dt.datetime
    services: dict[str, BreakerNow]
    items: list[CircuitBreakerRow]
    next: str | None


class EndpointRow(PausableRow):
    """Which events become which operation on which service."""

    source: str
    event_type: str
    condition: str
    service: str
    operation_type: str
    queue: str | None
    tenant: str | None
    tenant_expression: str
    entity_id_expression: str

    @staticmethod
    def resolve_service(endpoint: Endpoint) -> str:
        """The service by name."""
        return endpoint.service.slug

    @staticmethod
    def resolve_queue(endpoint: Endpoint) -> str | None:
        """The queue by name, where it is not the service's own."""
        return endpoint.queue.slug if endpoint.queue else None

    @staticmethod
    def resolve_tenant(endpoint: Endpoint) -> str | None:
        """The tenant by name, where it is always the same."""
        return endpoint.tenant.slug if endpoint.tenant else None


class MappingVersionRow(Schema):
    """How an endpoint's events fill a payload; the newest version is in force."""

    name: str
    number: int
    fields: dict[str, Any]
    made_by: str
    made_at: dt.datetime
    note: str


class EndpointDetail(EndpointRow, WithHistory):
    """An endpoint with its mapping versions, newest first."""

    versions: list[MappingVersionRow]

    @staticmethod
    def resolve_versions(endpoint: Endpoint) -> list[Any]:
        """The newest versions."""
        return list(endpoint.versions.order_by("-number")[:VERSIONS_SHOWN])


class ApiKeyRow(Schema):
    """A key that a system shows us."""

    id: UUID
    name: str
    prefix: str
    group: str
    scopes: list[str]
    status: str
    created_at: dt.datetime
    expires_at: dt.datetime | None
    due_at: dt.datetime
    rotated_at: dt.datetime | None
    replaces: UUID | None
    last_used_at: dt.datetime | None
    last_used_from: str | None
    revoked_at: dt.datetime | None
    revoked_reason: str

    @staticmethod
    def resolve_group(key: Any) -> str:
        """The group whose permissions it acts with."""
        return str(key.group.name)

    @staticmethod
    def resolve_replaces(key: Any) -> UUID | None:
        """The key it took the place of."""
        replaced: UUID | None = key.replaces_id
        return replaced


class EventIn(BaseModel):
    """An event that another system hands in."""

    model_config = ConfigDict(extra="forbid")

    source_system: str = Field(min_length=1, max_length=60, description="The short name of one of our event sources.")
    event_type: str = Field(min_length=1, max_length=arrivals.LONGEST_WORD, examples=["lead.created"])
    payload: Any = None
    event_id: str | None = Field(
        None, min_length=1, max_length=arrivals.LONGEST_ID, description="With its source its double key."
    )
    subject: str = Field(
        "", max_length=arrivals.LONGEST_WORD, description="What it is about: of one subject, older never follows newer."
    )
    occurred_at: AwareDatetime | None = None


class EventsIn(BaseModel):
    """Events handed in together: all are taken in, or none."""

    model_config = ConfigDict(extra="forbid")

    events: list[EventIn] = Field(min_length=1, max_length=arrivals.AT_ONCE)


def event_body() -> dict[str, Any]:
    """Return what the documentation says of the body of an event, in each of its forms."""
    content: dict[str, Any] = {
        "application/json": {"schema": EventIn.model_json_schema()},
        arrivals.STRUCTURED: {"schema": {"type": "object"}},
        arrivals.BATCH: {"schema": {"type": "array", "items": {"type": "object"}}},
    }
    words = "An event; or a CloudEvent 1.0, structured or, by its `ce-` headers, binary; or a batch of them."
    return {"requestBody": {"required": True, "description": words, "content": content}}


class EventAccepted(BaseModel):
    """An event is kept. A duplicate was known before, by its source and id."""

    id: UUID
    status: str
    duplicate: bool


class EventsAccepted(BaseModel):
    """Events are kept, in the order they came."""

    count: int
    duplicates: int
    ids: list[UUID]


class EventSourceRow(PausableRow):
    """A system that tells us events."""

    scheme: str
    signature_required: bool
    ordered: bool
    max_bytes: int
    cloudevents_source: str


class EventRow(Leaving):
    """Something another system told us, and where it stands."""

    id: UUID
    status: str
    source_system: str
    event_id: str
    event_type: str
    subject: str
    occurred_at: dt.datetime
    received_at: dt.datetime
    proof: str
    sender: str
    duplicates: int
    attempts: int
    max_retries: int
    due_at: dt.datetime
    outcome: str
    failure_class: str
    error_type: str
    last_error: str
    error_fields: dict[str, Any]
    trace_id: str
    processed_at: dt.datetime | None
    archived_at: dt.datetime | None

    @staticmethod
    def resolve_source_system(event: IntegrationEvent) -> str:
        """The source by name."""
        return event.source.slug


class MadeRow(BaseModel):
    """Something that an event became."""

    kind: str
    id: UUID
    name: str
    status: str


class EventDetail(EventRow, WithHistory):
    """An event with what came, masked, and what it became."""

    headers: dict[str, str]
    payload: Any
    became: list[MadeRow]

    @staticmethod
    def resolve_payload(event: IntegrationEvent) -> Any:
        """What mappings read, masked."""
        return masked(event.data)

    @staticmethod
    def resolve_became(event: IntegrationEvent) -> list[MadeRow]:
        """What stands for it."""
        made = import_string(catalogue.MADE_OF)([event.pk]).get(event.pk, [])
        return [MadeRow(kind=one.kind, id=one.id, name=one.name, status=one.status) for one in made]
