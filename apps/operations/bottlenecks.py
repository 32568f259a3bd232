"""Where the time of a slow queue goes: which service holds it up, and by what."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Aggregate, Count, FloatField, Q, Sum
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.formats import date_format, number_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.integrations.models import CircuitBreaker, Service
from apps.jobs.advice import Advice
from apps.jobs.lanes import Standing
from apps.jobs.models import Queue, Tenant
from apps.operations.models import Attempt, PendingOperation, Tally
from apps.operations.traffic import BY_ITS_FAULT

NAMED = 5
"""So many services are told of, those with most waiting first."""
LATELY = dt.timedelta(minutes=5)
AT_LIMIT = 0.8
"""From this share of its limit on, the limit is what holds a service's calls."""
LOOKED_AT = 200
"""So many of the rows that have waited longest for each service are looked through for held tenants."""


class Median(Aggregate):
    """The middle value of a column."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


@dataclass(frozen=True)
class Pace:
    """The calls to a service in the last five minutes."""

    made: int
    failed: int
    median_ms: float | None

    @property
    def per_second(self) -> float:
        """How many went out a second."""
        return self.made / LATELY.total_seconds()


def bottlenecks(standing: Standing) -> list[Advice]:
    """Say what holds a queue up, in a few queries over counts and the calls of five minutes."""
    queue = standing.queue
    services = _waiting_for(queue)
    rows = Service.objects.select_related("breaker").in_bulk([key for key, _count in services])
    told = [_service(rows[key], count, standing.now) for key, count in services]
    return [*told, *_places(standing), *_tenants(queue, [key for key, _count in services])]


def _waiting_for(queue: Queue) -> list[tuple[UUID, int]]:
    """Return the services that most rows of a queue wait for."""
    pending = Tally.objects.filter(queue=queue, status=PendingOperation.Status.PENDING, archived=False)
    counted: Counter[UUID] = Counter(dict(pending.values_list("service_id").annotate(Sum("change"))))
    return [(key, count) for key, count in counted.most_common(NAMED) if count > 0]


def _service(service: Service, waiting: int, now: dt.datetime) -> Advice:
    told: dict[str, Any] = {"service": service, "waiting": number_format(waiting, force_grouping=True)}
    url = reverse("admin:integrations_service_change", args=[service.pk])
    state, words = next(_held(service, told, now), None) or _pace(service, told)
    return Advice(state, words, url, str(service))


def _held(service: Service, told: dict[str, Any], now: dt.datetime) -> Iterator[tuple[str, str]]:
    """Yield why no call goes to a service, if none does."""
    breaker = service.breaker
    if service.status == Service.Status.PAUSED:
        words = _("%(service)s is paused and %(waiting)s wait for it: %(reason)s")
        yield "warning", words % {**told, "reason": service.paused_reason}
    if breaker.status != CircuitBreaker.Status.CLOSED:
        words = _("The circuit breaker of %(service)s is %(state)s and %(waiting)s wait behind it: %(reason)s")
        yield "failed", words % {**told, "state": breaker.get_status_display(), "reason": breaker.reason}
    if service.waits_until and service.waits_until > now:
        words = _("%(service)s asked us to wait until %(until)s, and %(waiting)s wait: %(reason)s")
        until = date_format(localtime(service.waits_until), "H:i:s")
        yield "warning", words % {**told, "until": until, "reason": service.waits_because}


def _pace(service: Service, told: dict[str, Any]) -> tuple[str, str]:
    """Say how fast calls go to a service, and what sets that pace."""
    pace = _lately(service)
    told |= {
        "pace": _figure(pace.per_second),
        "limit": _figure(service.rate_per_second),
        "median": _figure((pace.median_ms or 0) / 1000),
        "failed": _figure(100 * pace.failed / pace.made if pace.made else 0),
        "most": service.max_in_flight,
    }
    if not pace.made:
        return "warning", _("No call went to %(service)s for five minutes, and %(waiting)s wait for it.") % told
    if pace.per_second >= AT_LIMIT * service.rate_per_second:
        words = _(
            "%(service)s is at its limit: %(pace)s of %(limit)s calls a second go out, and %(waiting)s wait. More only if "
            "the service allows it: its page has the limit."
        )
        return "warning", words % told
    words = _(
        "%(service)s: a call takes %(median)s s (the middle of the last five minutes), %(pace)s a second go out, "
        "%(failed)s %% fail, and %(waiting)s wait. At most %(most)s calls are under way at once."
    )
    return "pending", words % told


def _lately(service: Service) -> Pace:
    calls = Attempt.objects.filter(service=service, at__gte=Now() - LATELY)
    failed = Count("at", filter=Q(failure_class__in=BY_ITS_FAULT))
    return Pace(**calls.aggregate(made=Count("at"), failed=failed, median_ms=Median("duration_ms")))


def _places(standing: Standing) -> list[Advice]:
    """Say that as many workers are at the queue as it lets in."""
    queue = standing.queue
    if standing.lane.at_work < queue.concurrency:
        return []
    words = ngettext(
        "Its %(count)s place is taken: it lets one worker in at a time. Its form has the number.",
        "All its %(count)s places are taken: it lets so many workers in at once. Its form has the number.",
        queue.concurrency,
    )
    return [Advice("warning", words % {"count": queue.concurrency})]


def _tenants(queue: Queue, services: list[UUID]) -> list[Advice]:
    """Say which of the rows that wait longest belong to tenants that are held."""
    pending = PendingOperation.objects.filter(queue=queue, status=PendingOperation.Status.PENDING)
    heads = [
        pending.filter(service=key).order_by("due_at").values_list("pk", "tenant_id")[:LOOKED_AT] for key in services
    ]
    rows = heads[0].union(*heads[1:], all=True) if heads else []
    counted = Counter(tenant for _key, tenant in rows if tenant)
    words = _("%(count)s of the rows that wait longest are of %(tenant)s, which is paused.")
    return [
        Advice(
            "warning",
            words % {"count": counted[tenant.pk], "tenant": tenant},
            reverse("admin:jobs_tenant_change", args=[tenant.pk]),
            str(tenant),
        )
        for tenant in Tenant.objects.filter(pk__in=counted, status=Tenant.Status.PAUSED)[:NAMED]
    ]


def _figure(number: float) -> str:
    decimals = 0 if number >= 10 or number == round(number) else 1 if number >= 1 else 2
    return str(number_format(number, decimals, force_grouping=True))
