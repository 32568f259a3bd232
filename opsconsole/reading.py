"""The login for those who investigate in SQL: it reads what pages show, and can change nothing (S3-28).

What would let a reader become somebody else is withheld from it: open sessions, and what passwords and keys are checked by.
"""

from collections.abc import Iterator
from typing import cast

from django.apps import apps
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.db.models import Model
from psycopg import Connection, sql

from apps.integrations.models import ApiKey, IdempotencyRecord

ROLE = "opsconsole_reader"
WITHHELD: dict[type[Model], set[str]] = {
    Session: {"session_key", "session_data"},
    User: {"password"},
    ApiKey: {"digest"},
    IdempotencyRecord: {"body"},
}
"""Columns that nobody reads by SQL, and why is said above."""
LIMITS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "30s",
    "lock_timeout": "1s",
    "idle_in_transaction_session_timeout": "60s",
}
"""A question that is too large ends by itself, and holds nobody up."""
SESSIONS_AT_MOST = 5


def make_reader(password: str) -> None:
    """Make the role, or give it this password; it reads from then on. The password is hashed before it is sent."""
    with transaction.atomic(), connection.cursor() as cursor:
        ours = cast("Connection", cursor.connection)
        hashed = ours.pgconn.encrypt_password(password.encode(), ROLE.encode(), b"scram-sha-256").decode()
        role = sql.Identifier(ROLE)
        if not reader_exists():
            cursor.execute(sql.SQL("CREATE ROLE {}").format(role).as_string(ours))
        made = sql.SQL("ALTER ROLE {} LOGIN NOINHERIT CONNECTION LIMIT {} PASSWORD {}")
        cursor.execute(made.format(role, sql.Literal(SESSIONS_AT_MOST), sql.Literal(hashed)).as_string(ours))
        for name, value in LIMITS.items():
            limit = sql.SQL("ALTER ROLE {} SET {} = {}").format(role, sql.Identifier(name), sql.Literal(value))
            cursor.execute(limit.as_string(ours))
        _grant()


def grant_if_there() -> None:
    """Let the role read what a migration has made, where there is such a role."""
    if reader_exists():
        with transaction.atomic():
            _grant()


def reader_exists() -> bool:
    """Say whether the server has the role."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", [ROLE])
        return bool(cursor.fetchone()[0])


def _grant() -> None:
    with connection.cursor() as cursor:
        ours, role = cast("Connection", cursor.connection), sql.Identifier(ROLE)
        for statement in (
            sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(role),
            sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}").format(role),
            *(sql.SQL("GRANT SELECT ({}) ON {} TO {}").format(columns, table, role) for table, columns in _readable()),
        ):
            cursor.execute(statement.as_string(ours))


def _readable() -> Iterator[tuple[sql.Identifier, sql.Composed]]:
    for model in apps.get_models(include_auto_created=True):
        names = [str(field.column) for field in model._meta.local_concrete_fields]
        left = [name for name in names if name not in WITHHELD.get(model, set())]
        if left and not model._meta.proxy:
            yield sql.Identifier(model._meta.db_table), sql.SQL(", ").join(map(sql.Identifier, left))
