"""How workers hold rows: a lease on the database's clock and a fencing token that shuts out a stale worker."""

import datetime as dt
import os
import socket
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError, connection, models, transaction
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.actions import statements
from apps.actions.verbs import Acted, Step

Held = TypeVar("Held", bound="Leased")

LEASE = dt.timedelta(seconds=settings.LEASE_SECONDS)
"""How long a worker may stay silent before its rows are taken from it; the heartbeat is a third of it."""
GONE = (OperationalError, InterfaceError, InternalError)
"""What a connection says that the database ended: by its crash, or because we slept in the middle of a transaction."""
POISON_AFTER = 4
"""So many leases may lapse before a row is taken for one that kills its workers."""


class Leased(Acted):
    """A noun that workers claim: who holds the row, until when, and how often a holder fell silent."""

    token = models.BigIntegerField(_("token"), null=True, editable=False)
    worker = models.CharField(_("worker"), max_length=120, blank=True, default="", editable=False)
    lease_until = models.DateTimeField(_("lease until"), null=True, editable=False)
    crashes = models.PositiveSmallIntegerField(_("crashes"), default=0, editable=False)

    class Meta:
        abstract = True


RELEASED: Mapping[str, Any] = {"token": None, "worker": "", "lease_until": None}
"""What every step that ends a worker's hold writes."""


def this_worker() -> str:
    """Return the name of this process, as pages show it: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


def claim_of(step: Step, rows: QuerySet[Held], columns: Sequence[str] = ()) -> statements.Claim:
    """Return the claim of this worker to rows of an ordered queryset, for `take`: all that it takes at once are under one new token.

    `columns` are what the rows are read with, where not all of them are needed.
    """
    return statements.Claim(
        step,
        rows,
        columns,
        # Drawn once per statement, not per row: a subquery that refers to no row runs once.
        token=RawSQL("(SELECT nextval('actions_token'))", ()),
        worker=this_worker(),
        lease_until=Now() + LEASE,
    )


def take(step: Step, rows: QuerySet[Held], limit: int) -> list[Held]:
    """Claim the first rows of an ordered queryset, and commit.

    Rows that another transaction holds are stepped over, so a pass that finds fewer than asked may be repeated.
    The order of what comes back is not kept.
    """
    with transaction.atomic(savepoint=False):
        return claim_of(step, rows).take(limit)


def renew(model: type[Leased], tokens: Collection[int], lease: dt.timedelta = LEASE) -> set[UUID]:
    """Prolong every lease held under the tokens; return the rows that are still held."""
    return _held(
        model, "lease_until = statement_timestamp() + %s * interval '1 second'", [lease.total_seconds()], tokens
    )


def stamp(model: type[Leased], column: str, ids: Collection[UUID], tokens: Collection[int]) -> set[UUID]:
    """Write the present moment into a column of rows that are still held; return those rows, and only those."""
    name = connection.ops.quote_name(column)
    return _held(model, f"{name} = statement_timestamp()", [], tokens, " AND id = ANY(%s)", [list(ids)])


def _held(
    model: type[Leased], sets: str, params: list[Any], tokens: Collection[int], which: str = "", ids: Sequence[Any] = ()
) -> set[UUID]:
    table = connection.ops.quote_name(model._meta.db_table)
    # Locked in key order, as everything else is: a bulk verb over the same rows waits, and neither dies.
    sql = (
        f"WITH held AS MATERIALIZED (SELECT id FROM {table}"  # noqa: S608 # names from models only
        f" WHERE token = ANY(%s) AND lease_until > statement_timestamp(){which} ORDER BY id FOR NO KEY UPDATE)"
        f" UPDATE {table} SET {sets} FROM held WHERE {table}.id = held.id RETURNING {table}.id"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(tokens), *ids, *params])
        return {key for (key,) in cursor.fetchall()}


def finish(step: Step, outcomes: Mapping[UUID, Mapping[str, Any]], token: int) -> list[UUID]:
    """Write the outcomes of rows held under a token, each with its own values, and let the rows go.

    Returns the ids that were written. The others are no longer ours: their lease lapsed and somebody else has them.
    """
    if not outcomes:
        return []
    with transaction.atomic(savepoint=False):
        looked_at = statements.finish(step, outcomes, token, RELEASED, this_worker())
    return [row.id for row in looked_at if row.refusal is None]


def rescue(step: Step, rows: QuerySet[Held], limit: int = 1000, **given: Any) -> list[UUID]:
    """Move rows whose holder fell silent; `rows` says which of the lapsed ones the step is for.

    A row that somebody else has locked is left for the next time: one worker stopped in the middle of a write would
    keep all others waiting for theirs.
    """
    with transaction.atomic():
        lapsed = rows.filter(lease_until__lt=Now()).order_by("pk").values_list("pk", flat=True)
        free = list(lapsed.select_for_update(skip_locked=True, no_key=True)[:limit])
        looked_at = statements.move(
            step, rows.model._base_manager.filter(pk__in=free), limit=limit, given=given, actor_name="sweep"
        )
    return [row.id for row in looked_at if row.refusal is None]


def renewable(held: QuerySet[Held]) -> QuerySet[Held]:
    """Return those of the held rows whose lease has lapsed and could have been renewed.

    For one lease after the database started, no holder is to blame for what ran out while it was away.
    """
    lapsed = held.filter(lease_until__lt=Now())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT started - lease FROM (SELECT pg_postmaster_start_time(), %s * interval '1 s') AS server(started, lease)"
            " WHERE started > statement_timestamp() - lease",
            [LEASE.total_seconds()],
        )
        lately = cursor.fetchone()
    return lapsed.filter(lease_until__lt=lately[0]) if lately else lapsed
