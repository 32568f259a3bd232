"""Probes: one harmless call that says whether a service is there and takes our credential (S0-27, S0-28)."""

from dataclasses import replace

from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.deadletters.failures import FailureClass
from apps.integrations import breakers
from apps.integrations.door import carry_out
from apps.integrations.models import CircuitBreaker, Service
from apps.integrations.outcome import Outcome
from apps.integrations.sites import connector_of, policy_of, site_of

PROBE_SECONDS = 8.0
"""A person waits for it."""


def probe(service: Service) -> Outcome:
    """Make a service's harmless call now, keep the answer on its row and return it."""
    site = site_of(service)
    policy = replace(policy_of(service), deadline_seconds=PROBE_SECONDS)
    settled = carry_out(connector_of(service).probe(site), policy, secrets=list(site.credentials.values()))
    outcome = settled.outcome or Outcome(FailureClass.UNKNOWN, _("The probe was not made."))
    Service.objects.filter(pk=service.pk).update(
        probed_at=Now(),
        probe_ok=outcome.succeeded,
        probe_message=outcome.message or _("It answered, and it took our credential."),
        probe_ms=sum(exchange.duration_ms for exchange in settled.exchanges),
    )
    return outcome


def answer_asked() -> int:
    """Make the probes that people asked for and that are not answered yet; return how many."""
    unanswered = Q(probed_at__isnull=True) | Q(probed_at__lt=F("probe_asked_at"))
    asked = list(Service.objects.filter(unanswered, probe_asked_at__isnull=False))
    for service in asked:
        if probe(service).succeeded:
            breakers.close_answered(service)
    return len(asked)


def answer_breakers() -> int:
    """Make the probes that breakers wait for and let each decide; return how many."""
    taken = breakers.take_probes()
    for breaker in taken:
        _decide(breaker, probe(breaker.service))
    return len(taken)


def _decide(breaker: CircuitBreaker, outcome: Outcome) -> None:
    refused = outcome.failure_class in (FailureClass.CREDENTIAL, FailureClass.QUOTA)
    # A full house (429) is a sign of life: the limit, not the breaker, holds us back then.
    answered = outcome.succeeded or outcome.failure_class == FailureClass.RATE_LIMITED
    breakers.decide(breaker, answered, outcome.message, breakers.REFUSED_WAIT if refused else None)
