"""The step of a migration that parts a table by time (apps/jobs/partitions.py keeps it so)."""

from dataclasses import dataclass
from typing import Any

from django.db import migrations

from apps.jobs.catalogue import Parted
from apps.jobs.partitions import alone_with, attach, make_ahead, missing, quoted


@dataclass(frozen=True, slots=True)
class Key:
    """A table's primary key, of one column; `counted` where the database numbers the rows."""

    constraint: str
    column: str
    counted: bool


def parting(parted: Parted) -> migrations.RunPython:
    """Return the step of a migration that parts a table. Undone, it leaves the table parted, which serves the plain model, too."""
    return migrations.RunPython(lambda _apps, _editor: part(parted), migrations.RunPython.noop)


def part(parted: Parted) -> None:
    """Part a table by time, with the rows it has; a parted one stays as it is.

    The primary key gets the time beside it, as PostgreSQL asks for; the model goes on as if the id alone were the key.
    The rows that are there become the current period's part as they stand: nothing is copied.
    """
    with alone_with(parted) as cursor:
        if not _is_parted(cursor, parted.table):
            # What the migration wrote before is checked now and not at its end.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET LOCAL statement_timeout = 0")  # the rows that are there are looked at once
            _replace(cursor, parted)
            cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
    make_ahead(parted)


def _replace(cursor: Any, parted: Parted) -> None:
    """Put a parted table in the place of a plain one, with its indexes and constraints, and the plain one in it."""
    plain = f"{parted.table}_plain"
    table, old = quoted(parted.table), quoted(plain)
    indexes, constraints, key = (
        _indexes(cursor, parted.table),
        _constraints(cursor, parted.table),
        _key(cursor, parted.table),
    )
    cursor.execute(f"ALTER TABLE {table} RENAME TO {old}")
    cursor.execute(f"ALTER TABLE {old} DROP CONSTRAINT {quoted(key.constraint)}")
    for name, _definition in indexes:
        cursor.execute(f"ALTER INDEX {quoted(name)} RENAME TO {quoted(f'{name}_plain')}")
    cursor.execute(
        f"CREATE TABLE {table} (LIKE {old} INCLUDING ALL EXCLUDING INDEXES) PARTITION BY RANGE ({quoted(parted.column)})"
    )
    cursor.execute(f"ALTER TABLE {table} ADD PRIMARY KEY ({quoted(key.column)}, {quoted(parted.column)})")
    for _name, definition in indexes:
        cursor.execute(definition)
    for name, definition in constraints:
        cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {quoted(name)} {definition}")
    cursor.execute(f"CREATE TABLE {quoted(f'{parted.table}_default')} PARTITION OF {table} DEFAULT")
    _take_over(cursor, parted, plain, key)


def _take_over(cursor: Any, parted: Parted, plain: str, key: Key) -> None:
    """Let what a plain table holds be the current period's part, or drop it where it is empty."""
    table, old, column = quoted(parted.table), quoted(plain), quoted(key.column)
    if key.counted:
        cursor.execute(
            f"SELECT setval(pg_get_serial_sequence(%s, %s), coalesce(max({column}), 0) + 1, false) FROM {old}",  # noqa: S608 # names of the database
            [parted.table, key.column],
        )
        cursor.execute(f"ALTER TABLE {old} ALTER COLUMN {column} DROP IDENTITY")
    cursor.execute(f"SELECT EXISTS (SELECT FROM {old})")  # noqa: S608 # the same
    if not cursor.fetchone()[0]:
        cursor.execute(f"DROP TABLE {old}")
        return
    name, _starts_at, ends_at = missing(parted)[0]
    cursor.execute(f"ALTER TABLE {old} RENAME TO {quoted(name)}")
    attach(cursor, table, quoted(name), None, ends_at.isoformat())


def _key(cursor: Any, table: str) -> Key:
    cursor.execute(
        "SELECT k.conname, a.attname, a.attidentity <> '' FROM pg_constraint k JOIN pg_attribute a"
        " ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] WHERE k.conrelid = to_regclass(%s) AND k.contype = 'p'",
        [table],
    )
    return Key(*cursor.fetchone())


def _indexes(cursor: Any, table: str) -> list[tuple[str, str]]:
    """Return a table's indexes beside those of constraints: each name, and the statement that makes it."""
    cursor.execute(
        "SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = to_regclass(%s) AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)",
        [table],
    )
    return list(cursor.fetchall())


def _constraints(cursor: Any, table: str) -> list[tuple[str, str]]:
    """Return what a table's rows point to; its checks come along by themselves."""
    cursor.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = to_regclass(%s) AND contype = 'f'",
        [table],
    )
    return list(cursor.fetchall())


def _is_parted(cursor: Any, table: str) -> bool:
    cursor.execute("SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(%s)", [table])
    return bool(cursor.fetchone()[0])
