"""Statements that the database plans once for each connection: to read and plan one may take longer than to run it."""

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.backends.utils import CursorWrapper


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
