"""Which database this is. One that was restored is another one, and nothing is claimed in it until that was noticed.

A restore makes the tables anew, or begins a new timeline: `actions_place()` in the database names cluster, database, table
and timeline, and `Installation` keeps the place that the console knows as its own. `statements.claim` compares the two.
"""

import datetime as dt

from django.db import connection, transaction
from django.db.models.functions import Now

from apps.actions.models import Installation

TOKENS_SKIPPED = 1_000_000_000
"""A worker that outlived the restore holds a token drawn after the backup: the numbers go on far beyond it."""
TAKEN_OVER = dt.timedelta(minutes=5)
"""A standby that took over shows signs of life this young; an older one on a new timeline is a restore."""


def at_home() -> bool:
    """Say whether this database is the one that the console knows as its own."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT actions_at_home()")
        return bool(cursor.fetchone()[0])


def notice(last_sign_at: dt.datetime | None, told: bool = False) -> Installation:
    """Write down that the console stands in a database it does not know; `last_sign_at` is the newest moment in it.

    Of several that notice it at once, or one after another until it is settled, all get the same row. `told`: a person
    says that it was restored, which cannot be seen of a disk that was put back as it was.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('actions.installation'))")
        cursor.execute("SELECT actions_place(), statement_timestamp()")
        place, now = cursor.fetchone()
        newest = Installation.objects.order_by("-id").first()
        if newest is not None and newest.place == place and not (told and newest.settled_at):
            return newest
        # Only the timeline is another: a standby was promoted, now or out of an old backup.
        taken_over = newest is not None and _same_but_for_timeline(newest.place, place)
        fresh = last_sign_at is not None and now - last_sign_at < TAKEN_OVER
        settled_at = now if taken_over and fresh and not told else None
        return Installation.objects.create(place=place, last_sign_at=last_sign_at, settled_at=settled_at)


def settle(found: Installation, reason: str) -> None:
    """Let work be claimed again: what was restored is paused by now, and no earlier token opens anything."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT setval('actions_token', nextval('actions_token') + %s)", [TOKENS_SKIPPED])
        Installation.objects.filter(pk=found.pk).update(settled_at=Now(), reason=reason)


def last_restore() -> Installation | None:
    """Return the newest restore that was noticed, where there was one."""
    return Installation.objects.exclude(reason="").order_by("-id").first()


def restored_here() -> bool:
    """Say whether this database came of a restore that was noticed."""
    newest = Installation.objects.order_by("-id").first()
    return newest is not None and bool(newest.reason)


def _same_but_for_timeline(one: str, other: str) -> bool:
    return one.rpartition(".")[0] == other.rpartition(".")[0]
