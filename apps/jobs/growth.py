"""How large the tables are, how fast they grow, and when the disk budget will be full."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.apps import apps
from django.db import connection
from django.db.models import Max, Min

from apps.jobs.catalogue import KEPT
from apps.jobs.models import StorageBudget, TableSize

WHOLE = ""
"""What the sizes call the whole database."""
LOOKED_BACK = dt.timedelta(days=30)
"""Growth is what a table gained a day over so long, or since it was first measured."""
GIGABYTE = 1024**3

SIZES = """
SELECT name, sum(CASE WHEN c.reltuples > 0 THEN c.reltuples ELSE pg_stat_get_live_tuples(c.oid) END)::bigint,
       sum(pg_total_relation_size(c.oid))::bigint
  FROM unnest(%s::text[]) AS name JOIN pg_class c ON c.relkind = 'r' AND (c.oid = to_regclass(quote_ident(name))
       OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass(quote_ident(name)))) GROUP BY name
"""


@dataclass(frozen=True)
class Size:
    """How many rows a table holds, as estimated, and how much room it takes up with its indexes."""

    rows: int
    bytes: int


@dataclass(frozen=True)
class Growth:
    """What a table gains a day."""

    rows: float
    bytes: float


def tables() -> list[str]:
    """Return the tables that policies are about."""
    return sorted({apps.get_model(kept.model)._meta.db_table for kept in KEPT})


def sizes(names: Sequence[str]) -> dict[str, Size]:
    """Return how large tables are now, in one query that reads no row of theirs; and the whole database under `WHOLE`."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"{SIZES} UNION ALL SELECT %s, 0, pg_database_size(current_database())", [list(names), WHOLE]
        )  # a constant
        return {name: Size(rows, size) for name, rows, size in cursor.fetchall()}


def measure() -> None:
    """Write down how large each table is today; once a day, whoever asks first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT (statement_timestamp() AT TIME ZONE 'UTC')::date")
        today = cursor.fetchone()[0]
    if not TableSize.objects.filter(day=today, table=WHOLE).exists():
        found = [
            TableSize(table=name, day=today, rows=size.rows, bytes=size.bytes) for name, size in sizes(tables()).items()
        ]
        TableSize.objects.bulk_create(found, ignore_conflicts=True)


def growth() -> dict[str, Growth]:
    """Return what each table has gained a day of late; nothing of those that were measured on one day only."""
    last = TableSize.objects.aggregate(day=Max("day"))["day"]
    if last is None:
        return {}
    lately = TableSize.objects.filter(day__gte=last - LOOKED_BACK)
    spans = lately.values("table").annotate(first=Min("day"), last=Max("day")).values_list("table", "first", "last")
    measured = {(size.table, size.day): size for size in lately}
    found = {}
    for table, first, newest in spans:
        if days := (newest - first).days:
            one, other = measured[table, first], measured[table, newest]
            found[table] = Growth((other.rows - one.rows) / days, (other.bytes - one.bytes) / days)
    return found


def days_until_full(now: Size, gains: Growth | None) -> float | None:
    """Return in how many days the disk budget is full: 0 where it is, None where nothing says that it ever will be."""
    left = StorageBudget.current().gigabytes * GIGABYTE - now.bytes
    if left <= 0:
        return 0
    return left / gains.bytes if gains and gains.bytes > 0 else None
