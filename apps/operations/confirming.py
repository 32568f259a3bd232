"""Is it really there? Reads a record back from its service by our reference, and keeps the answer (S0-26)."""

from contextlib import closing
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.deadletters.failures import FailureClass
from apps.integrations.connectors.shape import Doubles
from apps.integrations.door import Door
from apps.integrations.metering import count_calls
from apps.integrations.outcome import Outcome
from apps.integrations.sites import connector_of, policy_of, site_of, unusable
from apps.operations.models import PendingOperation
from apps.operations.orders import order_of

AT_ONCE = 50


def waiting() -> QuerySet[PendingOperation]:
    """Return the operations that people asked about and that are not answered yet."""
    unanswered = Q(confirmed_at__isnull=True) | Q(confirmed_at__lt=F("confirm_asked_at"))
    return PendingOperation.objects.filter(unanswered, confirm_asked_at__isnull=False).order_by("confirm_asked_at")


def answer_asked() -> int:
    """Look up what people asked about, many at once; return how many were answered."""
    asked = {operation.pk: operation for operation in waiting().select_related("service")[:AT_ONCE]}
    with closing(Door()) as door:
        for operation in asked.values():
            _start(door, operation)
        while door.in_flight:
            for settled in door.wait(1):
                outcome = settled.outcome or Outcome(FailureClass.UNKNOWN, _("The look was not made."))
                operation = asked[UUID(str(settled.tag))]
                count_calls(operation.service.slug, "confirm", [settled])
                _keep(operation, outcome)
    return len(asked)


def _start(door: Door, operation: PendingOperation) -> None:
    """Ask the service whether an operation's record is there. Changes nothing, here or there."""
    try:
        known = connector_of(operation.service).operations.get(operation.operation_type)
        if known is None or known.confirm is None:
            _keep(operation, Outcome(FailureClass.AMBIGUOUS, _("This service offers no way to ask.")))
            return
        site, policy = site_of(operation.service), policy_of(operation.service)
    except (KeyError, ValueError) as error:
        _keep(operation, Outcome(FailureClass.CONFIG, unusable(error)))
        return
    secrets = [value for value in site.credentials.values() if value]
    door.start(operation.pk, known.confirm(order_of(operation, site)), policy, Doubles.LOOKUP, secrets)


def _keep(operation: PendingOperation, outcome: Outcome) -> None:
    absent = outcome.failure_class == FailureClass.PERMANENT_DATA
    found = True if outcome.succeeded else False if absent else None
    words = _("It is there.") if found else outcome.message or _("The service could not say.")
    PendingOperation.objects.filter(pk=operation.pk).update(
        confirmed_at=Now(),
        confirm_found=found,
        confirm_message=words,
        remote_id=outcome.remote_id or operation.remote_id,
        remote_url=outcome.remote_url or operation.remote_url,
    )
