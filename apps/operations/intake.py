"""Taking operations in: check what can be checked now, insert, commit. Whoever asked then wakes a worker."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from apps.actions.inserting import insert
from apps.actions.instances import new
from apps.actions.preparing import Reading
from apps.actions.selections import closest
from apps.actions.verbs import Invalid
from apps.deadletters.failures import FailureClass
from apps.integrations.connectors import CONNECTORS, OrderRefused, canonical, checked
from apps.integrations.models import CircuitBreaker, IntegrationEvent, MappingVersion, Service
from apps.integrations.names import services_by_name
from apps.integrations.routing import Routed
from apps.integrations.sites import missing_credentials
from apps.integrations.traces import current
from apps.jobs.models import Queue, Tenant
from apps.operations.models import PendingOperation

log = logging.getLogger(__name__)

TOLD_ONE_BY_ONE = 20
"""Of more operations at once the log says only how many."""
AT_ONCE = 1000
"""More operations than that are handed in by several calls."""

Named = TypeVar("Named", Service, Queue, Tenant)


@dataclass(frozen=True)
class Wanted:
    """An operation as it is handed in.

    Without a service it goes to the one that knows its type; without a queue, to the queue that bears the service's name.
    """

    operation_type: str
    payload: Mapping[str, Any]
    service: str = ""
    queue: str = ""
    tenant: str = ""
    entity_type: str = ""
    entity_id: str = ""
    mapping_version: MappingVersion | None = None
    """Which mapping made it of an event."""


def submit(wanted: Wanted, source: str) -> PendingOperation:
    """Take one operation in; `source` says who hands it in. Raises `Invalid` where nobody could carry it out."""
    return _insert([Intake().row(wanted, source)])[0]


def submit_many(wanted: Sequence[Wanted], source: str) -> list[PendingOperation]:
    """Take up to a thousand operations in, all or none. `Invalid` tells the index of the first that cannot be."""
    if not 1 <= len(wanted) <= AT_ONCE:
        raise Invalid(_("Hand in 1 to %(most)s operations at once.") % {"most": AT_ONCE}, code="too_many")
    intake = Intake()
    return _insert([_row_of_many(intake, index, one, source) for index, one in enumerate(wanted)])


def submit_keyed(wanted: Mapping[UUID, Wanted], source: str) -> int:
    """Take in operations under ids that their maker reckons out of what they stand for; one that is there already stays.

    Return how many were handed in.
    """
    intake, rows = Intake(), list[PendingOperation]()
    for key in sorted(wanted):
        row = intake.row(wanted[key], source)
        row.pk = key
        rows.append(row)
    return len(PendingOperation.objects.bulk_create(rows, ignore_conflicts=True))


def submit_routed(event: IntegrationEvent, wanted: Sequence[Routed], anew: bool) -> int:
    """Take in what an event becomes, inside its transaction; return how many operations were made.

    What it became before stands: of the same mapping version no second operation is made, unless a person wants it
    `anew`. One that failed for certain does not stand in the way.
    """
    standing = set() if anew else _standing(event)
    intake = Intake()
    rows = [_row_of_event(intake, event, one) for one in wanted if one.version.pk not in standing]
    return len(_insert(rows))


def _standing(event: IntegrationEvent) -> set[Any]:
    failed = Q(status=PendingOperation.Status.FAILED) & ~Q(failure_class=FailureClass.AMBIGUOUS)
    return set(PendingOperation.objects.filter(~failed, event=event).values_list("mapping_version_id", flat=True))


def _row_of_event(intake: "Intake", event: IntegrationEvent, routed: Routed) -> PendingOperation:
    words = ("operation_type", "payload", "service", "queue", "tenant", "entity_type", "entity_id")
    wanted = Wanted(**{word: getattr(routed, word) for word in words}, mapping_version=routed.version)
    row = intake.row(wanted, f"event {event.source}")
    row.event, row.traceparent = event, event.traceparent
    return row


def why_waiting(operations: Iterable[PendingOperation]) -> list[str]:
    """Return, in sentences, what keeps operations from going out now. They are kept, and go when that is over."""
    services = {operation.service for operation in operations}
    queues = {operation.queue for operation in operations}
    paused = [_("The queue %s is paused.") % queue for queue in queues if queue.status == Queue.Status.PAUSED]
    return sorted([*paused, *(why for service in services for why in _held(service))])


def _held(service: Service) -> list[str]:
    reasons = missing_credentials(service)
    if service.status == Service.Status.PAUSED:
        reasons.append(_("The service %s is paused.") % service)
    if hasattr(service, "breaker") and service.breaker.status == CircuitBreaker.Status.OPEN:
        reasons.append(_("The circuit breaker of %s is open.") % service)
    return reasons


class Intake:
    """Makes rows of what is wanted, reading services and queues once for all of it."""

    def __init__(self) -> None:
        self.by_name = services_by_name()
        self.services = {service.slug: service for service in self.by_name.values()}
        self.queues = {queue.slug: queue for queue in _queues().rows()}
        self.tenants: dict[str, Tenant] = {}
        self.traceparent = current().traceparent

    def row(self, wanted: Wanted, source: str) -> PendingOperation:
        """Return the row for what is wanted, not yet saved."""
        service = self._service(wanted)
        name = _checked(service, wanted)
        row = new(PendingOperation)
        row.service, row.queue, row.tenant = service, self._queue(wanted.queue, service), self._tenant(wanted.tenant)
        row.operation_type, row.payload = name, dict(wanted.payload)
        row.entity_type = wanted.entity_type or CONNECTORS[service.connector].operations[name].entity
        row.entity_id, row.mapping_version = wanted.entity_id, wanted.mapping_version
        row.max_retries, row.source, row.traceparent = service.max_retries, source, self.traceparent
        return row

    def _service(self, wanted: Wanted) -> Service:
        if wanted.service:
            return _usable(_named("service", wanted.service, self.by_name))
        name = canonical(wanted.operation_type)
        able = [service for service in self.services.values() if name in _operations(service)]
        if len(able) == 1:
            return able[0]
        if able:
            raise _refused("service", _("several take %(type)s: %(services)s; say which") % _told(wanted, able))
        known = sorted({known for service in self.services.values() for known in _operations(service)})
        raise _refused("operation_type", _unknown("operation_type", name, known))

    def _queue(self, slug: str, service: Service) -> Queue:
        if slug:
            return _named("queue", slug, self.queues)
        if service.slug not in self.queues:
            made, _new = Queue.objects.get_or_create(slug=service.slug, defaults={"name": service.name})
            self.queues[made.slug] = made
        return self.queues[service.slug]

    def _tenant(self, slug: str) -> Tenant | None:
        if slug and slug not in self.tenants:
            self.tenants.update({tenant.slug: tenant for tenant in Tenant.objects.filter(slug=slug)})
        return _named("tenant", slug, self.tenants) if slug else None


@cache
def _queues() -> Reading[Queue]:
    return Reading(Queue.objects.order_by())


def _row_of_many(intake: Intake, index: int, wanted: Wanted, source: str) -> PendingOperation:
    try:
        return intake.row(wanted, source)
    except Invalid as error:
        errors = {f"operations.{index}.{field}": said for field, said in error.extra["errors"].items()}
        words = _("Operation %(index)s of the list: %(why)s Nothing was taken in.") % {"index": index, "why": error}
        raise Invalid(words, code=error.code, index=index, errors=errors) from error


def _checked(service: Service, wanted: Wanted) -> str:
    """Return the operation's own name, where its connector can carry it out."""
    try:
        return checked(CONNECTORS[service.connector], wanted.operation_type, wanted.payload)
    except OrderRefused as error:
        fields = {f"payload.{field}" if field else "payload": said for field, said in error.errors.items()}
        errors = fields or {"operation_type": [error.message]}
        raise Invalid(error.message, code="cannot_be_sent", errors=errors) from error


def _insert(rows: list[PendingOperation]) -> list[PendingOperation]:
    if rows:
        insert(rows)
        transaction.on_commit(partial(_tell, rows))
    return rows


def _tell(rows: Sequence[PendingOperation]) -> None:
    """Say in the log what was taken in; of many at once only how many."""
    if len(rows) > TOLD_ONE_BY_ONE:
        log.info("%s operations taken in from %s", len(rows), rows[0].source)
        return
    for row in rows:
        said = {**row.said, "tenant": row.tenant.slug if row.tenant else "", "service": row.service.slug}
        log.info("%s taken in from %s", row.operation_type, row.source, extra=said)


def _operations(service: Service) -> Iterable[str]:
    """Return what a service can do: nothing, where its row names a connector that there is not."""
    return CONNECTORS[service.connector].operations if service.connector in CONNECTORS else ()


def _usable(service: Service) -> Service:
    if service.connector not in CONNECTORS:
        raise _refused(
            "service",
            _("%(service)s cannot be used: there is no connector %(connector)s")
            % {"service": service, "connector": service.connector},
        )
    return service


def _named(word: str, slug: str, known: Mapping[str, Named]) -> Named:
    if slug not in known:
        raise _refused(word, _unknown(word, slug, sorted(known)))
    return known[slug]


def _unknown(word: str, given: str, known: Sequence[str]) -> str:
    hint = closest(given, known)
    return _("there is no %(word)s %(given)s; %(hint)s") % {"word": word, "given": given[:80], "hint": hint}


def _told(wanted: Wanted, able: list[Service]) -> dict[str, str]:
    return {"type": wanted.operation_type[:80], "services": ", ".join(service.slug for service in able)}


def _refused(field: str, why: str) -> Invalid:
    return Invalid(f"{field}: {why}", code="cannot_be_sent", errors={field: [why]})
