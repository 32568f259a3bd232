"""Probes: one harmless call that says whether a service is there and takes our credential (S0-27, S0-28)."""

from collections.abc import Collection
from contextlib import closing
from dataclasses import replace
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.deadletters.failures import FailureClass
from apps.integrations import breakers
from apps.integrations.connectors.shape import Doubles
from apps.integrations.door import Door
from apps.integrations.metering import count_calls
from apps.integrations.models import CircuitBreaker, Service
from apps.integrations.outcome import Outcome
from apps.integrations.sites import connector_of, policy_of, site_of, unusable

PROBE_SECONDS = 8.0
"""A person waits for it."""


def probe(service: Service) -> Outcome:
    """Make a service's harmless call now, keep the answer on its row and return it."""
    return probe_all([service])[service.pk]


def probe_all(services: Collection[Service]) -> dict[UUID, Outcome]:
    """Make the harmless calls of many services at once, keep their answers and return them."""
    outcomes: dict[UUID, Outcome] = {}
    slugs = {service.pk: service.slug for service in services}
    with closing(Door()) as door:
        for service in services:
            try:
                _start(door, service)
            except (KeyError, ValueError) as error:
                outcomes[service.pk] = _keep(service.pk, Outcome(FailureClass.CONFIG, unusable(error)), 0)
        while door.in_flight:
            for settled in door.wait(PROBE_SECONDS):
                outcome = settled.outcome or Outcome(FailureClass.UNKNOWN, _("The probe was not made."))
                key = UUID(str(settled.tag))
                count_calls(slugs[key], "probe", [settled])
                outcomes[key] = _keep(key, outcome, sum(exchange.duration_ms for exchange in settled.exchanges))
    return outcomes


def wanted() -> bool:
    """Say whether a person or a breaker waits for a probe."""
    return _asked().exists() or breakers.probes_due()


def answer_asked() -> int:
    """Make the probes that people asked for and that are not answered yet; return how many."""
    asked = list(_asked())
    outcomes = probe_all(asked)
    for service in asked:
        if outcomes[service.pk].succeeded:
            breakers.close_answered(service)
    return len(asked)


def answer_breakers() -> int:
    """Make the probes that breakers wait for and let each decide; return how many."""
    taken = breakers.take_probes()
    outcomes = probe_all([breaker.service for breaker in taken])
    for breaker in taken:
        _decide(breaker, outcomes[breaker.service_id])
    return len(taken)


def _start(door: Door, service: Service) -> None:
    site = site_of(service)
    policy = replace(policy_of(service), deadline_seconds=PROBE_SECONDS)
    secrets = [value for value in site.credentials.values() if value]
    door.start(service.pk, connector_of(service).probe(site), policy, Doubles.UPSERT, secrets)


def _keep(service_id: UUID, outcome: Outcome, duration_ms: int) -> Outcome:
    Service.objects.filter(pk=service_id).update(
        probed_at=Now(),
        probe_ok=outcome.succeeded,
        probe_message=outcome.message,
        probe_ms=duration_ms,
    )
    return outcome


def _asked() -> QuerySet[Service]:
    unanswered = Q(probed_at__isnull=True) | Q(probed_at__lt=F("probe_asked_at"))
    return Service.objects.filter(unanswered, probe_asked_at__isnull=False)


def _decide(breaker: CircuitBreaker, outcome: Outcome) -> None:
    refused = outcome.failure_class in (FailureClass.CREDENTIAL, FailureClass.QUOTA)
    # A full house (429) is a sign of life: the limit, not the breaker, holds us back then.
    answered = outcome.succeeded or outcome.failure_class == FailureClass.RATE_LIMITED
    breakers.decide(breaker, answered, outcome.message, breakers.REFUSED_WAIT if refused else None)
