"""Taking rows back from workers that fell silent."""

from uuid import UUID

from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.actions import leases
from apps.integrations.connectors.shape import Doubles
from apps.operations.models import POISON_AFTER, PendingOperation
from apps.operations.orders import doubles_of


def rescue_lapsed() -> int:
    """Take rows back from workers that fell silent; return how many. What may have taken effect goes to a person."""
    lapsed = _renewable(PendingOperation.objects.filter(status="processing", lease_until__lt=Now()))
    silent = _("Its worker fell silent for the %(times)sth time while it was under way.") % {"times": POISON_AFTER}
    buried = leases.rescue(PendingOperation.bury, lapsed.filter(crashes__gte=POISON_AFTER - 1), last_error=silent)
    unsure = _("Its worker fell silent in the middle of the call, and this service cannot be asked what became of it.")
    doubted = leases.rescue(PendingOperation.doubt, lapsed.filter(pk__in=_undecidable(lapsed)), last_error=unsure)
    rescued = leases.rescue(PendingOperation.rescue, lapsed.exclude(pk__in=_undecidable(lapsed)))
    return len(buried) + len(doubted) + len(rescued)


def _renewable(lapsed: QuerySet[PendingOperation]) -> QuerySet[PendingOperation]:
    """Leave out leases that nobody could renew because the database was away: for one lease, no holder is to blame."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT started - lease FROM (SELECT pg_postmaster_start_time(), %s * interval '1 s') AS server(started, lease)"
            " WHERE started > statement_timestamp() - lease",
            [leases.LEASE.total_seconds()],
        )
        lately = cursor.fetchone()
    return lapsed.filter(lease_until__lt=lately[0]) if lately else lapsed


def _undecidable(lapsed: QuerySet[PendingOperation]) -> list[UUID]:
    """Return the rows whose call may have gone out to a service that offers nothing against doubles."""
    called = lapsed.filter(called_at__isnull=False).select_related("service").defer("payload", "result")
    return [row.pk for row in called if doubles_of(row) == Doubles.NONE]
