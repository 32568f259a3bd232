"""What a preview says of operations: the blast radius, in counts that the database groups, however many there are."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Count, Exists, Max, Min, OuterRef, Q, QuerySet, Sum
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.actions.foresight import Foresight
from apps.actions.running import database_now
from apps.actions.verbs import Move
from apps.integrations.connectors import CONNECTORS
from apps.integrations.models import CircuitBreaker, Service
from apps.integrations.sites import missing_credentials
from apps.jobs.models import Queue, Tenant
from apps.operations.models import PendingOperation, Tally

NAMED = 5
"""So many types and tenants are named; the others are counted together."""
LOOKED_AT = 500
"""Newer operations for the same entity are looked for behind so many of the oldest rows."""


def foreseen(verb: Move, rows: QuerySet[Any], rate: float | None) -> Foresight:
    """Say what a verb would bring about for operations that it may move, released at `rate` a second (None: at once)."""
    radius = Radius(rows)
    if not radius.count:
        return Foresight()
    if verb.target != PendingOperation.Status.PENDING:
        return Foresight(about=radius.about(), effects=_without_calls(verb, radius))
    held = radius.in_the_way()
    begins = [_("It begins once nothing stands in the way.")] if held else []
    return Foresight(
        about=radius.about(),
        effects=radius.calls(),
        settled=radius.settled(rows),
        in_the_way=held,
        duration=begins + radius.duration(rate),
    )


@dataclass(frozen=True)
class Group:
    """Operations of one service, queue, type and tenant."""

    service_id: UUID
    queue_id: UUID
    tenant_id: UUID | None
    operation_type: str
    count: int
    oldest: dt.datetime
    newest: dt.datetime
    found: int


class Radius:
    """What the rows are, by service, queue, type and tenant: one grouped count, and the few rows they refer to."""

    def __init__(self, rows: QuerySet[Any]) -> None:
        names = ("service_id", "queue_id", "tenant_id", "operation_type")
        told = [Count("pk"), Min("created_at"), Max("created_at"), Count("pk", filter=Q(confirm_found=True))]
        counted = dict(zip(("n", "oldest", "newest", "found"), told, strict=True))
        self.groups = [Group(*row) for row in rows.order_by().values_list(*names).annotate(**counted)]
        self.count = sum(group.count for group in self.groups)

    @cached_property
    def services(self) -> dict[UUID, Service]:
        """The services that the rows go to."""
        return Service.objects.select_related("breaker").in_bulk({group.service_id for group in self.groups})

    def by(self, word: str) -> Counter[Any]:
        """Count the rows by one column."""
        counted: Counter[Any] = Counter()
        for group in self.groups:
            counted[getattr(group, word)] += group.count
        return counted

    def about(self) -> list[str]:
        """Say of which tenant and how old they are."""
        oldest, newest = min(group.oldest for group in self.groups), max(group.newest for group in self.groups)
        told = {"oldest": _at(oldest), "newest": _at(newest)}
        ages = _("Handed in from %(oldest)s to %(newest)s.") if oldest != newest else _("Handed in at %(oldest)s.")
        return [*self._tenants(), ages % told]

    def _tenants(self) -> list[str]:
        counted = self.by("tenant_id")
        if set(counted) == {None}:
            return []
        slugs = dict(Tenant.objects.filter(pk__in=[key for key in counted if key]).values_list("pk", "slug"))
        named = Counter({slugs.get(key, _("without a tenant")): count for key, count in counted.items()})
        return [_("Tenants: %s.") % _listed(named)]

    def calls(self) -> list[str]:
        """Say what will be called, and how often at least."""
        told = []
        for key, count in self.by("service_id").most_common():
            types = Counter({group.operation_type: 0 for group in self.groups if group.service_id == key})
            for group in self.groups:
                if group.service_id == key:
                    types[group.operation_type] += group.count
            words = ngettext(
                "%(count)s call to %(service)s: %(types)s.", "%(count)s calls to %(service)s: %(types)s.", count
            )
            told.append(words % {"count": _figure(count), "service": self.services[key], "types": _listed(types)})
        return told + self._messages()

    def _messages(self) -> list[str]:
        count = sum(group.count for group in self.groups if self._entity(group) == "message")
        words = ngettext("%s message goes out to a person.", "%s messages go out to people.", count)
        return [words % _figure(count)] if count else []

    def _entity(self, group: Group) -> str:
        connector = CONNECTORS.get(self.services[group.service_id].connector)
        known = connector.operations.get(group.operation_type) if connector else None
        return known.entity if known else ""

    def settled(self, rows: QuerySet[Any]) -> list[str]:
        """Say what the far end has already, and what a newer operation for the same entity has overtaken."""
        found = sum(group.found for group in self.groups)
        there = ngettext(
            "%s was found at its service when it was looked up: resolve it instead of sending it again.",
            "%s were found at their service when they were looked up: resolve them instead of sending them again.",
            found,
        )
        return ([there % _figure(found)] if found else []) + _superseded(rows, self.count)

    def in_the_way(self) -> list[str]:
        """Say what keeps the rows from going out now: they wait, and no attempt is used."""
        services = [why for service in self.services.values() for why in _held(service)]
        queues = Queue.objects.filter(pk__in=[*self.by("queue_id")], status=Queue.Status.PAUSED)
        tenants = Tenant.objects.filter(
            pk__in=[key for key in self.by("tenant_id") if key], status=Tenant.Status.PAUSED
        )
        held = [_("The queue %s is paused.") % queue for queue in queues]
        return [*services, *held, *(_("The tenant %s is paused.") % tenant for tenant in tenants[:NAMED])]

    def duration(self, rate: float | None) -> list[str]:
        """Say how long it takes at least: the run's own rate, or the slowest service with what waits there already."""
        ahead = _waiting(self.services)
        counted = self.by("service_id")
        slowest = max(
            self.services.values(), key=lambda each: (counted[each.pk] + ahead[each.pk]) / each.rate_per_second
        )
        there = (counted[slowest.pk] + ahead[slowest.pk]) / slowest.rate_per_second
        if rate and self.count / rate > there:
            told = {"span": _span(self.count / rate), "rate": _figure(rate)}
            return [_("About %(span)s, at %(rate)s rows a second.") % told]
        told = {"span": _span(there), "service": str(slowest), "rate": _figure(slowest.rate_per_second)}
        words = _("About %(span)s: %(service)s takes %(rate)s calls a second.") % told
        if ahead[slowest.pk]:
            words += " " + _("%s operations wait there already.") % _figure(ahead[slowest.pk])
        return [words]


def _without_calls(verb: Move, radius: Radius) -> list[str]:
    if verb is PendingOperation.confirm:
        told = [(str(radius.services[key]), count) for key, count in radius.by("service_id").most_common()]
        return [
            _("%(count)s look-ups at %(service)s; nothing is changed there.") % {"count": _figure(n), "service": name}
            for name, n in told
        ]
    return [_("Nothing is sent.")]


def overtaken(rows: QuerySet[Any]) -> QuerySet[Any, Any]:
    """Return the oldest rows of an entity, each with whether a newer operation like it is done, or on its way."""
    # The second exclude is for the planner: only with it may it use the index of entities, which leaves empty ones out.
    newer = PendingOperation.objects.exclude(entity_id="").filter(
        entity_id=OuterRef("entity_id"),
        service=OuterRef("service"),
        operation_type=OuterRef("operation_type"),
        pk__gt=OuterRef("pk"),
    )
    done = Exists(newer.filter(status=PendingOperation.Status.COMPLETED))
    waits = Exists(newer.filter(status__in=[PendingOperation.Status.PENDING, PendingOperation.Status.PROCESSING]))
    oldest: QuerySet[Any] = rows.exclude(entity_id="").order_by("pk").annotate(done=done, waits=waits)
    return oldest.values_list("done", "waits")[:LOOKED_AT]


def _superseded(rows: QuerySet[Any], count: int) -> list[str]:
    found = Counter(list(overtaken(rows)))
    done = found[True, True] + found[True, False]
    told = {"done": _figure(done), "waits": _figure(found[False, True])}
    sentences = []
    if done:
        sentences.append(
            _(
                "%(done)s: a newer operation of the same type for the same entity is completed; the older one would come after it."
            )
            % told
        )
    if found[False, True]:
        sentences.append(
            _("%(waits)s: a newer operation of the same type for the same entity waits or is under way.") % told
        )
    if sentences and count > LOOKED_AT:
        sentences.append(_("Looked for among the oldest %s.") % _figure(LOOKED_AT))
    return sentences


def _held(service: Service) -> Iterable[str]:
    yield from missing_credentials(service) if service.connector in CONNECTORS else ()
    told = {"service": service.slug, "why": service.waits_because}
    if service.status == Service.Status.PAUSED:
        yield _("The service %s is paused.") % service
    if service.waits_until and service.waits_until > database_now():
        yield _("%(service)s waits until %(at)s: %(why)s") % {**told, "at": _at(service.waits_until)}
    breaker = getattr(service, "breaker", None)
    if breaker and breaker.status != CircuitBreaker.Status.CLOSED:
        told |= {"state": str(breaker.get_status_display()), "why": breaker.reason or "—"}
        yield (
            _("The circuit breaker of %(service)s is %(state)s (%(why)s): they wait until a probe is answered.") % told
        )


def _waiting(services: Mapping[UUID, Service]) -> Counter[UUID]:
    pending = Tally.objects.filter(service__in=services, status=PendingOperation.Status.PENDING, archived=False)
    return Counter({key: max(count, 0) for key, count in pending.values_list("service_id").annotate(Sum("change"))})


def _listed(counted: Counter[str]) -> str:
    named = [f"{_figure(count)} {name}" for name, count in counted.most_common(NAMED)]
    others = counted.total() - sum(count for _name, count in counted.most_common(NAMED))
    return ", ".join([*named, _("%s others") % _figure(others)] if others else named)


def _figure(number: float) -> str:
    return number_format(int(number) if number == int(number) else round(number, 2), use_l10n=True, force_grouping=True)


def _at(moment: dt.datetime) -> str:
    return date_format(moment.astimezone(ZoneInfo(settings.OPS_TIME_ZONE)), "SHORT_DATETIME_FORMAT")


def _span(seconds: float) -> str:
    for size, unit in ((86400, _("d")), (3600, _("h")), (60, _("min"))):
        if seconds >= size:
            return f"{_figure(round(seconds / size, 1))} {unit}"
    return f"{max(round(seconds), 1)} " + _("s")
