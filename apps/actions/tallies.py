"""Counts kept by triggers: each statement appends its change, and the sweep folds the rows together."""

from django.db import connection, models

AT_ONCE = 10_000


def fold(tally: type[models.Model]) -> None:
    """Fold the counting rows of a table together; several may try, each takes those that no other holds."""
    table = tally._meta.db_table
    columns = [str(field.column) for field in tally._meta.concrete_fields if field.name not in ("id", "change")]
    names, places = ", ".join(columns), ", ".join(str(number) for number, _column in enumerate(columns, 1))
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH gone AS (DELETE FROM {table} WHERE id IN"  # noqa: S608 # names from models only
            f" (SELECT id FROM {table} ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)"
            f" RETURNING {names}, change)"
            f" INSERT INTO {table} ({names}, change)"
            f" SELECT {names}, sum(change) FROM gone GROUP BY {places} HAVING sum(change) <> 0",
            [AT_ONCE],
        )
