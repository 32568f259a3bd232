"""Places at a queue: as many workers drain it at once as it has places, and wake-ups that find none end at once.

A drain that leaves work behind hands its place on to the message it sends, so that a backlog is carried by as many
messages as there are places, however many the sweep or the request path add. A place is freed by its lapse alone where
its worker, or the message, is lost.
"""

from typing import Any

from django.db import connection

from apps.actions import leases
from apps.jobs.models import Queue

KEPT_SECONDS = leases.LEASE.total_seconds() / 3
"""A place lapses so long after its last sign of life: a lost message delays its queue so long, and one tick."""

MAKE = """
INSERT INTO operations_place (queue_id, number)
SELECT %(queue)s, generate_series(1, %(places)s) ON CONFLICT DO NOTHING
"""
TAKE = """
UPDATE operations_place SET token = nextval('actions_token'), kept_until = statement_timestamp() + %(kept)s * interval '1 s'
 WHERE id = (SELECT id FROM operations_place
              WHERE queue_id = %(queue)s AND number <= %(places)s
                AND (token = %(token)s OR kept_until IS NULL OR kept_until < statement_timestamp())
              ORDER BY token = %(token)s DESC NULLS LAST, number LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING token
"""
KEEP = "UPDATE operations_place SET kept_until = statement_timestamp() + %s * interval '1 s' WHERE token = %s"
LEAVE = "UPDATE operations_place SET token = NULL, kept_until = NULL WHERE token = %s"
TAKEN = (
    "SELECT count(*) FROM operations_place WHERE queue_id = %s AND number <= %s AND kept_until >= statement_timestamp()"
)


def take(queue: Queue, handed_on: int | None = None) -> int | None:
    """Take the place that was handed on, or a free one; return its token, None where all are taken."""
    with connection.cursor() as cursor:
        words: dict[str, Any] = {
            "queue": queue.pk,
            "places": queue.concurrency,
            "kept": KEPT_SECONDS,
            "token": handed_on,
        }
        cursor.execute(MAKE, words)
        cursor.execute(TAKE, words)
        row = cursor.fetchone()
    return int(row[0]) if row else None


def keep(token: int) -> None:
    """Give a sign of life."""
    _execute(KEEP, KEPT_SECONDS, token)


def leave(token: int) -> None:
    """Free a place."""
    _execute(LEAVE, token)


def free(queue: Queue) -> int:
    """Return how many places of a queue nobody holds."""
    return max(queue.concurrency - taken(queue), 0)


def taken(queue: Queue) -> int:
    """Return how many places of a queue are held: so many drains share its work."""
    with connection.cursor() as cursor:
        cursor.execute(TAKEN, [queue.pk, queue.concurrency])
        [(number,)] = cursor.fetchall()
    return int(number)


def _execute(sql: str, *params: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
