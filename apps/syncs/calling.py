"""Reading from a service as everything else calls it: through the door out, within its limit, as its breaker allows."""

import time
from collections.abc import Callable

from django.utils.translation import gettext as _

from apps.deadletters.failures import COUNTED_BY_BREAKER, FailureClass
from apps.integrations import breakers, limits
from apps.integrations.breakers import Report
from apps.integrations.connectors.shape import Doubles, Site, Steps
from apps.integrations.door import carry_out
from apps.integrations.metering import count_calls
from apps.integrations.models import CircuitBreaker, Service
from apps.integrations.outcome import Outcome
from apps.integrations.sites import policy_of, site_of, unusable

WAITS = (1.0, 2.0, 4.0)
"""Seconds before a call that failed in passing is made again; then the run fails, and the next one goes on from there."""
PATIENCE = 30.0
"""So long a run waits for its turn within the limit of a service, or as long as the service asks."""
GLANCE = 0.05

Asked = Callable[[Site], Steps]


def called(service: Service, asked: Asked) -> Outcome:
    """Make a call that may be repeated, and make it again where it fails in passing. No transaction is open meanwhile."""
    for wait in WAITS:
        outcome = asked_once(service, asked)
        again = outcome.failure_class in (FailureClass.TRANSIENT, FailureClass.RATE_LIMITED)
        if not again or (outcome.retry_after or 0) > PATIENCE:
            return outcome
        time.sleep(outcome.retry_after or wait)
    return asked_once(service, asked)


def asked_once(service: Service, asked: Asked) -> Outcome:
    """Make a call, where nothing holds the service, and tell its breaker and its limit what came of it."""
    held = _turn(service)
    if held:
        return held
    try:
        site, policy = site_of(service), policy_of(service)
    except (KeyError, ValueError) as error:
        return Outcome(FailureClass.CONFIG, unusable(error))
    secrets = [value for value in site.credentials.values() if value]
    settled = carry_out(asked(site), policy, Doubles.UPSERT, secrets)
    count_calls(service.slug, "read", [settled])
    outcome = settled.outcome or Outcome(FailureClass.UNKNOWN, _("The call was not made."))
    if settled.exchanges:
        counted = outcome.failure_class in COUNTED_BY_BREAKER
        breakers.report(service.pk, Report(int(counted), not counted))
    breakers.heed(service, outcome)
    return outcome


def _turn(service: Service) -> Outcome | None:
    """Take one call out of the service's limit, and wait for it where others had theirs; say what holds the service."""
    ends = time.monotonic() + PATIENCE
    while not limits.grant(service.pk, 1):
        held = _held(service)
        if held or time.monotonic() > ends:
            return held or Outcome(FailureClass.RATE_LIMITED, _("%s has no call left for us now.") % service)
        time.sleep(GLANCE)
    return None


def _held(service: Service) -> Outcome | None:
    row = Service.objects.get(pk=service.pk)
    if row.status == Service.Status.PAUSED:
        told = {"service": row, "reason": row.paused_reason}
        return Outcome(FailureClass.DEPENDENCY_DOWN, _("%(service)s is paused: %(reason)s") % told)
    breaker = CircuitBreaker.objects.filter(service=row).exclude(status=CircuitBreaker.Status.CLOSED).first()
    if breaker is None:
        return None
    told = {"service": row, "reason": breaker.reason}
    return Outcome(FailureClass.DEPENDENCY_DOWN, _("The circuit breaker of %(service)s is open: %(reason)s") % told)
