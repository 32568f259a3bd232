"""Is it really there? Reads a record back from its service by our reference, and keeps the answer (S0-26)."""

from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.deadletters.failures import FailureClass
from apps.integrations.connectors.shape import Doubles
from apps.integrations.door import carry_out
from apps.integrations.outcome import Outcome
from apps.integrations.sites import connector_of, policy_of, site_of
from apps.operations.delivery import order_of
from apps.operations.models import PendingOperation

AT_ONCE = 50


def answer_asked() -> int:
    """Look up the operations that people asked about; return how many were answered."""
    unanswered = Q(confirmed_at__isnull=True) | Q(confirmed_at__lt=F("confirm_asked_at"))
    asked = PendingOperation.objects.filter(unanswered, confirm_asked_at__isnull=False).select_related("service")
    looked_up = list(asked.order_by("confirm_asked_at")[:AT_ONCE])
    for operation in looked_up:
        _keep(operation, confirm(operation))
    return len(looked_up)


def confirm(operation: PendingOperation) -> Outcome:
    """Ask the service whether an operation's record is there. Changes nothing, here or there."""
    known = connector_of(operation.service).operations.get(operation.operation_type)
    if known is None or known.confirm is None:
        return Outcome(FailureClass.AMBIGUOUS, _("This service offers no way to ask."))
    site = site_of(operation.service)
    steps = known.confirm(order_of(operation, site))
    settled = carry_out(steps, policy_of(operation.service), Doubles.LOOKUP, list(site.credentials.values()))
    return settled.outcome or Outcome(FailureClass.UNKNOWN, _("The look was not made."))


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
