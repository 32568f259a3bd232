"""How many calls a service takes: a token bucket in its row, moved by one UPDATE per claim, on the database's clock."""

from uuid import UUID

from django.db import connection
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.integrations.models import Service
from apps.integrations.models.service import RAMP

GRANT = """
WITH held AS (
    SELECT s.id, LEAST(
             s.burst,
             s.tokens + s.rate_per_second
               -- After a breaker closed the pace climbs from a tenth to the whole: no rush.
               * LEAST(1, GREATEST(0.1, COALESCE(EXTRACT(EPOCH FROM statement_timestamp() - b.closed_at) / %(ramp)s, 1)))
               * GREATEST(0, COALESCE(EXTRACT(EPOCH FROM statement_timestamp() - s.tokens_at), 3600))
           ) AS tokens
      FROM integrations_service s JOIN integrations_circuitbreaker b ON b.service_id = s.id
     WHERE s.id = %(service)s AND s.status = 'active' AND b.status = 'closed'
       AND (s.waits_until IS NULL OR s.waits_until <= statement_timestamp())
       AND (%(queue)s::uuid IS NULL OR EXISTS (SELECT FROM jobs_queue q WHERE q.id = %(queue)s AND q.status = 'active'))
       -- The breaker too: once it has tripped, nobody is about to call.
       FOR NO KEY UPDATE OF s SKIP LOCKED FOR SHARE OF b SKIP LOCKED
)
UPDATE integrations_service s
   SET tokens = held.tokens - GREATEST(0, LEAST(FLOOR(held.tokens), %(wanted)s)), tokens_at = GREATEST(s.tokens_at, statement_timestamp())
  FROM held WHERE s.id = held.id
RETURNING GREATEST(0, LEAST(FLOOR(held.tokens), %(wanted)s))::int
"""


def grant(service_id: UUID, wanted: int, queue_id: UUID | None = None) -> int | None:
    """Take up to `wanted` calls out of a service's bucket, for a queue's work where one is named; return how many there were.

    `None` where either is paused, or the service is told to wait or behind a breaker that is not closed; a missing breaker
    never opens the gate. `None` too while another worker is counting: nobody waits for one that was stopped in the middle of it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            GRANT, {"service": service_id, "queue": queue_id, "wanted": wanted, "ramp": RAMP.total_seconds()}
        )
        row = cursor.fetchone()
    return int(row[0]) if row else None


def charge(service_id: UUID, calls: int) -> None:
    """Take calls that were made beyond those granted (a look before a create), or give back what was not used (< 0)."""
    if calls:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE integrations_service SET tokens = tokens - %s WHERE id = %s", [calls, service_id])


def hold(service: Service, seconds: float, because: str) -> None:
    """Let the whole service wait, as it asked (429, or 503 with Retry-After). A longer wait that stands is kept."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE integrations_service SET waits_because = %s,"
            " waits_until = GREATEST(waits_until, statement_timestamp() + %s * (1 + 0.1 * random()) * interval '1 second')"
            " WHERE id = %s",
            [because or _("It asked us to slow down."), seconds, service.pk],
        )


def free_again() -> None:
    """Forget the waits that are over, so that no page shows them."""
    Service.objects.filter(waits_until__lte=Now()).update(waits_until=None, waits_because="")
