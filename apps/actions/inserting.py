"""Many new rows in one statement of a few values: what differs from row to row goes as one JSON text, the rest once.

Django's `bulk_create` writes every value of every row into the statement, which takes ten times as long to make as to run.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import connection, models
from django.db.models.expressions import DatabaseDefault

from apps.actions import recordsets
from apps.actions.instances import Column, stored
from apps.actions.preparing import prepared_cursor


def insert(rows: Sequence[models.Model]) -> None:
    """Insert new rows of one model, all or none; what the database gives a column by itself is not read back."""
    if len(rows) == 1:
        _insert_one(rows[0])
    else:
        _insert_many(rows)
    stored(rows)


def _insert_one(row: models.Model) -> None:
    given = {field: field.value_from_object(row) for field in row._meta.concrete_fields}
    told = {field: value for field, value in given.items() if not isinstance(value, DatabaseDefault)}
    with prepared_cursor() as cursor:
        values = [field.get_db_prep_save(value, connection) for field, value in told.items()]
        cursor.execute(_one(type(row), tuple(told)), values)


@cache
def _one(model: type[models.Model], columns: tuple[Column, ...]) -> str:
    """Return the statement for one row. It is prepared: read and planned anew each time it takes three times as long."""
    quote = connection.ops.quote_name
    names = ", ".join(quote(str(field.column)) for field in columns)
    values = ", ".join(["%s"] * len(columns))
    return f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES ({values})"  # noqa: S608 # names of ours


def _insert_many(rows: Sequence[models.Model]) -> None:
    differing, same = _parted(rows)
    columns = [str(field.column) for field in differing]
    items = zip(*differing.values(), strict=True)
    text = recordsets.text([dict(zip(columns, item, strict=True)) for item in items])
    values = [field.get_db_prep_save(value, connection) for field, value in same.items()]
    with connection.cursor() as cursor:
        cursor.execute(_statement(rows[0], list(differing), list(same)), [*values, text])


def _parted(rows: Sequence[models.Model]) -> tuple[dict[Column, list[Any]], dict[Column, Any]]:
    """Return the columns that differ from row to row, the key among them, and those that do not."""
    differing, same = dict[Column, list[Any]](), dict[Column, Any]()
    for field in rows[0]._meta.concrete_fields:
        values = [field.value_from_object(row) for row in rows]
        if isinstance(values[0], DatabaseDefault):
            continue
        if field.primary_key or any(value != values[0] for value in values):
            differing[field] = values
        else:
            same[field] = values[0]
    return differing, same


def _statement(row: models.Model, differing: Sequence[Column], same: Sequence[Column]) -> str:
    quote = connection.ops.quote_name
    names = [quote(str(field.column)) for field in differing]
    columns = ", ".join([*names, *(quote(str(field.column)) for field in same)])
    values = ", ".join([*names, *(f"%s::{_unbounded(field)}" for field in same)])
    told = recordsets.table("told", {str(field.column): _type(field) for field in differing})
    return f"INSERT INTO {quote(row._meta.db_table)} ({columns}) SELECT {values} FROM {told}"  # noqa: S608 # names of ours


def _type(field: Column) -> str:
    return str(field.rel_db_type(connection) if field.is_relation else field.db_type(connection))


def _unbounded(field: Column) -> str:
    """Return the type of a column without its length: cast to one with a length, what is too long is cut off unsaid."""
    return _type(field).partition("(")[0]
