"""Statements that the database plans once for each connection: to read and plan one may take longer than to run it."""

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.backends.utils import CursorWrapper
from django.db.models.expressions import RawSQL

from apps.actions import instances

Row = TypeVar("Row", bound=models.Model)


def prepared_cursor() -> CursorWrapper:
    """Return a cursor for a statement that comes with every request: from its fifth time on it is a prepared one.

    Only where connections are kept (`CONN_MAX_AGE`); behind a pooler, where they are not, values travel beside the
    statement, and nothing is prepared. Use it where one plan is right for all values.
    """
    connection: Any = connections[DEFAULT_DB_ALIAS]
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    with connection.wrap_database_errors:
        made = ServerBindingCursor(connection.connection)  # type: ignore[call-arg] # it is psycopg's, which takes one
        cursor: CursorWrapper = connection._prepare_cursor(made)
        return cursor


PLACE = object()
GIVEN = RawSQL("%s", (PLACE,))
"""Stands in a queryset for the value that is given with each reading."""


def filled(params: Iterable[Any], given: Any) -> list[Any]:
    """Return a statement's parameters, with what is given this time in its place."""
    return [given if value is PLACE else value for value in params]


class Reading(Generic[Row]):
    """Rows that many requests read by the same queryset, with its annotations: Django compiles it once for each process."""

    def __init__(self, rows: models.QuerySet[Row]) -> None:
        self.model = rows.model
        self.columns = self.model._meta.concrete_fields
        self.annotated = list(rows.query.annotations)
        named = rows.values_list(*[field.attname for field in self.columns], *self.annotated)
        self.sql, self.params = named.query.get_compiler(DEFAULT_DB_ALIAS).as_sql()

    def rows(self, given: Any = None) -> list[Row]:
        """Read them."""
        with prepared_cursor() as cursor:
            cursor.execute(self.sql, filled(self.params, given))
            found = cursor.fetchall()
        count = len(self.columns)
        rows = instances.read(self.model, self.columns, [values[:count] for values in found])
        for row, values in zip(rows, found, strict=True):
            vars(row).update(zip(self.annotated, values[count:], strict=True))
        return rows
