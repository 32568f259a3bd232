"""Taking rows back from workers that fell silent."""

from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from apps.actions import leases
from apps.deadletters.failing import BEARABLE, bury
from apps.integrations.connectors.shape import Doubles
from apps.operations.models import PendingOperation
from apps.operations.orders import doubles_of


def rescue_lapsed() -> int:
    """Take rows back from workers that fell silent; return how many. What may have taken effect goes to a person."""
    lapsed = leases.renewable(PendingOperation.objects.filter(status="processing"))
    buried = bury(lapsed)
    unsure = _("Its worker fell silent in the middle of the call, and this service cannot be asked what became of it.")
    doubted = leases.rescue(PendingOperation.doubt, lapsed.filter(pk__in=_undecidable(lapsed)), last_error=unsure)
    rescued = leases.rescue(PendingOperation.rescue, lapsed.filter(BEARABLE).exclude(pk__in=_undecidable(lapsed)))
    return buried + len(doubted) + len(rescued)


def _undecidable(lapsed: QuerySet[PendingOperation]) -> list[UUID]:
    """Return the rows whose call may have gone out to a service that offers nothing against doubles."""
    called = lapsed.filter(called_at__isnull=False).select_related("service").defer("payload", "result")
    return [row.pk for row in called if doubles_of(row) == Doubles.NONE]
