"""Tables that are parted by time: parts are made ahead, listed with their sizes, and dropped whole once they are old.

Such a table ages without a DELETE: nothing is scanned, nothing bloats, and writers wait for a lock of a moment. What
fits no part stays in the table's default partition until its part is made, which then takes it over: no row is lost
and none refused. All bounds are days or weeks of UTC, by the database's clock.
"""

import datetime as dt
import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import OperationalError, connection, transaction

from apps.actions.running import database_now
from apps.jobs.catalogue import PARTED, Parted

log = logging.getLogger(__name__)

TRIES = 5
"""So often a part that is in use is asked for before it is left to the next run."""
LOCK_MS = 500
"""So long a drop waits for its lock. Whoever comes after it in the line waits as long, so it is short."""

BOUND = r"(regexp_match(pg_get_expr(c.relpartbound, c.oid), '%s \(''([^'']+)''\)'))[1]::timestamptz"


@dataclass(frozen=True, slots=True)
class Partition:
    """One part of a table: from when (None: from the beginning) until when, and how much it holds."""

    name: str
    starts_at: dt.datetime | None
    ends_at: dt.datetime | None
    default: bool
    bytes: int
    """With its indexes."""
    rows: int
    """As the planner last estimated them."""


def keep_ahead() -> None:
    """Make the parts that the days to come need. One table that cannot be parted now does not keep the others waiting."""
    for parted in PARTED:
        try:
            make_ahead(parted)
        except OperationalError:
            log.exception(
                "No part of %s could be made; its rows wait in the default one. Tried again soon.", parted.table
            )


def make_ahead(parted: Parted) -> list[str]:
    """Make a table's missing parts, from the current period to as many ahead as it asks for; return their names.

    One query where nothing is missing. Rows that waited in the default partition move into their part.
    """
    return [name for name, starts_at, ends_at in missing(parted) if _make(parted, name, starts_at, ends_at)]


def partitions(parted: Parted) -> list[Partition]:
    """Return the parts of a table, oldest first, the default one last."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT c.relname, {BOUND % 'FROM'}, {BOUND % 'TO'}, pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT' AS rest,"  # noqa: S608 # constants
            " pg_total_relation_size(c.oid), greatest(c.reltuples, 0)::bigint"
            " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = to_regclass(%s) ORDER BY rest, 3, 1",
            [parted.table],
        )
        return [Partition(*row) for row in cursor.fetchall()]


def older(parted: Parted, days: int) -> list[Partition]:
    """Return the parts of which every row is older than so many days."""
    line = database_now() - dt.timedelta(days=days)
    return [part for part in partitions(parted) if part.ends_at and part.ends_at <= line]


def drop(part: Partition) -> None:
    """Drop a part with its rows, or raise `OperationalError` where it stays in use; nothing is gone then.

    The lock is on the whole table, for a moment. A table whose rows point to others by a constraint of the database
    locks those, too: better that it has none.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = {LOCK_MS}")
        cursor.execute(f"DROP TABLE IF EXISTS {quoted(part.name)}")
        cursor.execute("SET LOCAL lock_timeout TO DEFAULT")


def drop_older(parted: Parted, days: int) -> list[Partition]:
    """Drop the parts of which every row is older than so many days, and return them. What is in use stays for the next run."""
    return [part for part in older(parted, days) if _dropped(part)]


def delete_strays(parted: Parted, days: int, limit: int = 5000) -> int:
    """Delete up to `limit` rows of the default partition that are older than so many days; return how many went.

    Rows stand there whose time lies outside of every part, such as those of a machine whose clock was years wrong.
    """
    rest, column = quoted(f"{parted.table}_default"), quoted(parted.column)
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {rest} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {rest}"  # noqa: S608 # names from the catalogue only
            f" WHERE {column} < now() - make_interval(days => %s) LIMIT %s FOR UPDATE SKIP LOCKED))",
            [days, limit],
        )
        return int(cursor.rowcount)


def missing(parted: Parted) -> list[tuple[str, dt.datetime, dt.datetime]]:
    """Return the parts that a table lacks, from the current period on: each name, its first moment and the first one after it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, start, start + step FROM (SELECT start, step, %(table)s || to_char(start AT TIME ZONE 'UTC', '_YYYYMMDD')"
            " AS name FROM (SELECT date_trunc(%(period)s, now(), 'UTC') AS first, ('1 ' || %(period)s)::interval AS step) f,"
            " generate_series(first, first + %(ahead)s * step, step) AS start) wanted"
            " WHERE to_regclass(quote_ident(name)) IS NULL AND to_regclass(quote_ident(%(table)s)) IS NOT NULL ORDER BY start",
            {"table": parted.table, "period": parted.period, "ahead": parted.ahead},
        )
        return list(cursor.fetchall())


def _make(parted: Parted, name: str, starts_at: dt.datetime, ends_at: dt.datetime) -> bool:
    """Make a part, or say that another process has made it meanwhile.

    It is filled before it is attached, so that the table is never locked whole: readers and writers go on.
    """
    table, new, rest = (quoted(one) for one in (parted.table, name, f"{parted.table}_default"))
    column, bounds = quoted(parted.column), [starts_at, ends_at]
    with alone_with(parted) as cursor:
        if _exists(cursor, name):
            return False
        cursor.execute(f"CREATE TABLE {new} (LIKE {table} INCLUDING ALL EXCLUDING IDENTITY)")
        cursor.execute(f"LOCK TABLE {rest} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(
            f"WITH strays AS (DELETE FROM {rest} WHERE {column} >= %s AND {column} < %s RETURNING *)"  # noqa: S608 # names from the catalogue only
            f" INSERT INTO {new} SELECT * FROM strays",
            bounds,
        )
        attach(cursor, table, new, starts_at.isoformat(), ends_at.isoformat())
        return True


def attach(cursor: Any, table: str, part: str, starts: str | None, ends: str) -> None:
    """Make a table the part of another that holds what lies between two moments; without a first one, all before the last."""
    first = f"'{starts}'" if starts else "MINVALUE"
    cursor.execute(f"ALTER TABLE {table} ATTACH PARTITION {part} FOR VALUES FROM ({first}) TO ('{ends}')")


def _dropped(part: Partition) -> bool:
    for left in reversed(range(TRIES)):
        try:
            drop(part)
            return True
        except OperationalError as error:
            if left:
                time.sleep(random.uniform(0.1, 0.5))  # noqa: S311 # no secret
            else:
                log.warning("%s is in use and stays until the next run: %s", part.name, error)
    return False


def _exists(cursor: Any, table: str) -> bool:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [quoted(table)])
    return bool(cursor.fetchone()[0])


@contextmanager
def alone_with(parted: Parted) -> Iterator[Any]:
    """Open a transaction in which no other process parts the table."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"parts of {parted.table}"])
        yield cursor


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return connection.ops.quote_name(name)
