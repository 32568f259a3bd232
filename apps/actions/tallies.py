"""Counts kept by triggers: each statement appends its change, and the sweep folds the rows together."""

import datetime as dt
from typing import ClassVar

from django.db import connection, models
from django.db.models.functions import Now

AT_ONCE = 10_000


class Counts(models.Model):
    """How many rows of a table stand where, kept by the database: the sum of the changes is the exact count.

    A trigger adds one small row per statement and place; nobody waits for anybody, and the sweep folds them together.
    """

    kept: ClassVar[tuple[str, dt.timedelta] | None] = None
    """By which column rows are forgotten, and after how long; others stay."""

    id = models.BigAutoField(primary_key=True)
    change = models.BigIntegerField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.change:+d}"


def fold(*tables: type[Counts]) -> None:
    """Forget what is too old, and fold the counting rows of each place into one.

    Several may try at once: each takes the rows that no other holds.
    """
    for table in tables:
        if table.kept:
            column, span = table.kept
            table._base_manager.filter(**{f"{column}__lt": Now() - span}).delete()
        _fold(table)


def _fold(table: type[Counts]) -> None:
    name, places = table._meta.db_table, ", ".join(_places(table))
    with connection.cursor() as cursor:
        cursor.execute(
            # A place that has one row only is left alone: most of them do, and each sweep would write them anew.
            f"WITH crowded AS (SELECT {places} FROM {name} GROUP BY {places} HAVING count(*) > 1),"  # noqa: S608 # names from models only
            f" gone AS (DELETE FROM {name} WHERE id IN"
            f" (SELECT id FROM {name} JOIN crowded USING ({places}) ORDER BY id LIMIT %s FOR UPDATE OF {name} SKIP LOCKED)"
            f" RETURNING {places}, change)"
            f" INSERT INTO {name} ({places}, change)"
            f" SELECT {places}, sum(change) FROM gone GROUP BY {places} HAVING sum(change) <> 0",
            [AT_ONCE],
        )


def _places(table: type[Counts]) -> list[str]:
    """Return the columns that say where rows stand."""
    return [str(field.column) for field in table._meta.concrete_fields if field.name not in ("id", "change")]
