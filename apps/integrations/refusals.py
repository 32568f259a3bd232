"""The record of whom we turned away: one row an hour for each client and reason, bounded, and never what was shown as a key."""

import logging
import threading
import time

from django.db import Error, connection

from apps.integrations.models import AccessRefusal

log = logging.getLogger(__name__)

MOST_AN_HOUR = 5_000
"""So many rows an hour tell clients apart; what comes beyond is counted together."""
FLOOD_SECONDS = 10.0
"""A flood is written down so often for each client, with how many there were meanwhile."""
FLOODS_AT_MOST = 10_000

NOTE = """
WITH now AS (SELECT date_trunc('hour', statement_timestamp()) AS hour),
     full_hour AS (
         SELECT count(*) >= %(most)s AS yes
           FROM (SELECT 1 FROM integrations_accessrefusal r, now WHERE r.hour = now.hour LIMIT %(most)s) counted
     )
INSERT INTO integrations_accessrefusal AS kept (hour, reason, address, who, "where", times, first_at, last_at)
SELECT now.hour, %(reason)s, CASE WHEN full_hour.yes THEN '' ELSE %(address)s END,
       CASE WHEN full_hour.yes THEN '' ELSE %(who)s END, %(where)s, %(times)s, statement_timestamp(), statement_timestamp()
  FROM now, full_hour
    ON CONFLICT (hour, reason, address, who) DO UPDATE
   SET times = LEAST(kept.times::bigint + EXCLUDED.times, 2147483647), last_at = EXCLUDED.last_at, "where" = EXCLUDED."where"
"""


def note(reason: str, *, address: str = "", who: str = "", where: str = "", times: int = 1) -> None:
    """Write down that a client was turned away. Never fails: the refusal itself stands all the same."""
    told = {"address": address[:45], "who": who[:150].replace("\0", ""), "where": where[:200].replace("\0", "")}
    try:
        with connection.cursor() as cursor:
            cursor.execute(NOTE, {"reason": reason, "times": times, "most": MOST_AN_HOUR, **told})
    except Error as error:
        log.warning("A refusal (%s) could not be written down: %s", reason, error)


class _Floods:
    """Who is being turned away for sending too much: written down now and then, or the record would be a flood itself."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seen: dict[tuple[str, str], tuple[float, int]] = {}

    def due(self, client: tuple[str, str]) -> int:
        """Count a refusal; return how many are to be written down now (0: not yet)."""
        with self.lock:
            until, unwritten = self.seen.pop(client, (0.0, 0))
            waits = time.monotonic() < until
            self.seen[client] = (until, unwritten + 1) if waits else (time.monotonic() + FLOOD_SECONDS, 0)
            while len(self.seen) > FLOODS_AT_MOST:
                del self.seen[next(iter(self.seen))]
            return 0 if waits else unwritten + 1


_floods = _Floods()


def note_flood(*, address: str, who: str, where: str = "") -> None:
    """Write down that a client sends too much; many within seconds are one note with their number."""
    if times := _floods.due((address, who)):
        note(AccessRefusal.Reason.RATE_LIMITED, address=address, who=who, where=where, times=times)
