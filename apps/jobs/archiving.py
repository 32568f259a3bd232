"""Rows in files before they are deleted: compressed JSON Lines with a manifest, and the way back.

A file grows by one gzip member for each batch, written to the disk before the batch is deleted. `ArchiveFile.bytes` is
committed with the deletion: what stands behind it in the file belongs to a batch that was undone, and is cut off.
"""

import datetime as dt
import gzip
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import F
from django.utils.translation import gettext as _

from apps.actions.models import short
from apps.actions.running import database_now
from apps.actions.verbs import Invalid, Refused
from apps.jobs.models import ArchiveFile, RetentionPolicy

SUFFIX, MANIFEST = ".jsonl.gz", ".manifest.json"
DOUBLES_NAMED = 3


class ArchiveFailed(Exception):
    """A file could not be written: nothing of its batch was deleted."""


def folder() -> Path:
    """Return the folder of archives; its owner alone may look into it, for the rows are not masked."""
    return Path(settings.DATA_DIR) / "archive"


@dataclass(frozen=True)
class Rows:
    """Rows of one table as the database writes them to JSON, in the order of their key."""

    table: str
    lines: Sequence[str]


def rows_as_json(table: str, column: str, keys: str) -> Rows:
    """Read the rows of a table that have one of these keys, an array as PostgreSQL writes it, in a column."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT row_to_json(t)::text FROM {_quoted(table)} t WHERE {_quoted(column)} = ANY(%s)"  # noqa: S608 # names from models only
            f" ORDER BY t.{_quoted(_key_of(table))}",
            [keys],
        )
        return Rows(table, [line for (line,) in cursor.fetchall()])


# Writing


def append(policy: RetentionPolicy, run_id: UUID, batch: Sequence[Rows]) -> int:
    """Put a batch into the file of this policy and run, on the disk; return how many rows.

    Belongs into the transaction that deletes them, which holds the policy's row: of one file there is one writer.
    """
    told = [rows for rows in batch if rows.lines]
    count = sum(len(rows.lines) for rows in told)
    if not count:
        return 0
    kept = _open_file(policy, run_id)
    data = gzip.compress("".join(_lines(told)).encode(), 6, mtime=0)
    member = {"offset": kept.bytes, "bytes": len(data), "rows": count, "sha256": hashlib.sha256(data).hexdigest()}
    with _writing(folder() / kept.path):
        _write(folder() / kept.path, kept.bytes, data)
        _write_manifest(kept, [*_members(kept), member | _range(told)], [rows.table for rows in told])
    ArchiveFile.objects.filter(pk=kept.pk).update(rows=F("rows") + count, bytes=kept.bytes + len(data))
    return count


def close_left(policy: RetentionPolicy, run_id: UUID) -> None:
    """Cut off what was never committed from the files that other runs have left open, and close them.

    Belongs into a transaction that holds the policy's row.
    """
    left = ArchiveFile.objects.filter(policy=policy.slug, closed=False)
    for kept in left.exclude(path__endswith=f"-{short(run_id)}{SUFFIX}"):
        path = folder() / kept.path
        if path.exists():  # else it was written on another machine, or taken away
            with _writing(path):
                os.truncate(path, kept.bytes)
                _write_manifest(kept, _members(kept), [])
        ArchiveFile.objects.filter(pk=kept.pk).update(closed=True)


def _open_file(policy: RetentionPolicy, run_id: UUID) -> ArchiveFile:
    """Return the file that this run has begun, be it before midnight, or a new one."""
    end = f"-{short(run_id)}{SUFFIX}"
    begun = ArchiveFile.objects.filter(policy=policy.slug, closed=False, path__endswith=end).first()
    return begun or ArchiveFile.objects.create(policy=policy.slug, path=f"{policy.slug}/{database_now():%Y-%m-%d}{end}")


def _lines(batch: Sequence[Rows]) -> Iterator[str]:
    for rows in batch:
        table = json.dumps(rows.table)
        yield from (f'{{"table": {table}, "row": {line}}}\n' for line in rows.lines)


def _range(batch: Sequence[Rows]) -> dict[str, Any]:
    """Return the keys of the first and the last row of the table that the policy is about."""
    key, lines = _key_of(batch[0].table), batch[0].lines
    return {"first": json.loads(lines[0])[key], "last": json.loads(lines[-1])[key]}


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Say in a sentence why a file could not be written."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ArchiveFailed(
            _(
                "The archive %(file)s could not be written: %(reason)s. Nothing was deleted that is not in a file. Make room, then purge again."
            )
            % {"file": path, "reason": error.strerror or error}
        ) from error


def _write(path: Path, offset: int, data: bytes) -> None:
    """Write a member behind what is committed, over whatever a batch that was undone has left there."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.ftruncate(descriptor, offset)
        os.lseek(descriptor, offset, os.SEEK_SET)
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, offset)
        raise
    finally:
        os.close(descriptor)


def _write_manifest(kept: ArchiveFile, members: list[dict[str, Any]], tables: Sequence[str]) -> None:
    path = _manifest_of(folder() / kept.path)
    known = json.loads(path.read_text())["tables"] if path.exists() else {}
    told = {
        "policy": kept.policy,
        "made": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "rows": sum(member["rows"] for member in members),
        "tables": known | {table: _told_table(table) for table in tables if table not in known},
        "members": members,
    }
    new = path.with_suffix(".new")
    with open(new, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        json.dump(told, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Let the names of new files survive a crash of the machine, too."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _members(kept: ArchiveFile) -> list[dict[str, Any]]:
    """Return the members that were committed."""
    path = _manifest_of(folder() / kept.path)
    found = json.loads(path.read_text())["members"] if path.exists() else []
    return [member for member in found if member["offset"] + member["bytes"] <= kept.bytes]


def _manifest_of(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(SUFFIX) + MANIFEST)


def _told_table(table: str) -> dict[str, Any]:
    """Return a table's columns with their types, and the migration that they are of."""
    app = table.partition("_")[0]
    applied = (
        MigrationRecorder(connection).migration_qs.filter(app=app).order_by("-name").values_list("name", flat=True)
    )
    return {"columns": _columns(table), "migration": f"{app}.{applied.first()}"}


def _columns(table: str) -> dict[str, str]:
    """Return the columns that are written, with their types; what the database works out is left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = to_regclass(%s)"
            " AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
            [_quoted(table)],
        )
        return dict(cursor.fetchall())


@cache
def _key_of(table: str) -> str:
    """Return the column that is a table's key; of a table that is parted by time, the one before the time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
            " WHERE i.indrelid = to_regclass(%s) AND i.indisprimary",
            [_quoted(table)],
        )
        return str(cursor.fetchone()[0])


# Reading back


@dataclass(frozen=True)
class Read:
    """What a file holds: its policy, and its rows by table, parents before what hangs on them."""

    policy: str
    rows: dict[str, list[dict[str, Any]]]

    @property
    def counts(self) -> dict[str, int]:
        """How many rows of each table."""
        return {table: len(rows) for table, rows in self.rows.items()}


def read(path: Path) -> Read:
    """Read a file of an archive. Raises `Invalid` where it is not one, is damaged, or does not fit today's tables."""
    manifest = _manifest(path)
    rows: dict[str, list[dict[str, Any]]] = {}
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Invalid(_("%(file)s cannot be read: %(reason)s.") % {"file": path, "reason": error.strerror}) from error
    for number, member in enumerate(_committed(path, manifest["members"]), 1):
        part = data[member["offset"] : member["offset"] + member["bytes"]]
        if hashlib.sha256(part).hexdigest() != member["sha256"]:
            raise Invalid(
                _(
                    "%(file)s is damaged: its part %(number)s does not have the checksum that its manifest names. Nothing was restored."
                )
                % {"file": path, "number": number}
            )
        for line in gzip.decompress(part).decode().splitlines():
            told = json.loads(line)
            rows.setdefault(told["table"], []).append(told["row"])
    for table, columns in manifest["tables"].items():
        _check_columns(path, table, columns["columns"])
    return Read(manifest["policy"], rows)


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(_manifest_of(path).read_text())
        if path.name.endswith(SUFFIX) and {"policy", "tables", "members"} <= manifest.keys():
            return manifest
    except (OSError, ValueError, AttributeError):
        pass
    raise Invalid(
        _("%(file)s is no archive: it ends in %(suffix)s and has its manifest beside it, %(manifest)s.")
        % {"file": path, "suffix": SUFFIX, "manifest": _manifest_of(path).name}
    )


def _committed(path: Path, members: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out a last batch that was never deleted, where this database knows the file."""
    try:
        name = path.resolve().relative_to(folder().resolve()).as_posix()
    except ValueError:
        return members
    kept = ArchiveFile.objects.filter(path=name).first()
    return members if kept is None else [m for m in members if m["offset"] + m["bytes"] <= kept.bytes]


def _check_columns(path: Path, table: str, columns: dict[str, str]) -> None:
    today = _columns(table)
    gone = sorted(name for name, kind in columns.items() if today.get(name) != kind)
    if gone:
        raise Invalid(
            _(
                "%(file)s does not fit today's %(table)s: %(columns)s are no longer there, or of another kind. Restore it into a database of its migration, which the manifest names."
            )
            % {"file": path, "table": table, "columns": ", ".join(gone)}
        )


def restore(found: Read) -> int:
    """Put the rows of a file back, all or none; return how many. Belongs into a transaction.

    Raises `Refused` where one of them is there already, or the policy would take them away again tonight.
    """
    policy = RetentionPolicy.objects.filter(slug=found.policy).first()
    if policy is not None and policy.status != RetentionPolicy.Status.HELD:
        raise Refused(
            _("Hold the policy %(policy)s first: the next purge would take these rows away again.") % {"policy": policy}
        )
    require_no_doubles(found)
    return sum(_insert(table, rows) for table, rows in found.rows.items())


def require_no_doubles(found: Read) -> None:
    """Raise `Refused` where a row of the file is in its table already."""
    for table, rows in found.rows.items():
        key = _key_of(table)
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT t.{_quoted(key)}::text FROM {_quoted(table)} t"  # noqa: S608 # checked against the database
                f" JOIN json_populate_recordset(NULL::{_quoted(table)}, %s::json) r USING ({_quoted(key)})",
                [json.dumps(rows)],
            )
            there = [str(found_key) for (found_key,) in cursor.fetchall()]
        if there:
            told = {"count": len(there), "table": table, "some": ", ".join(there[:DOUBLES_NAMED])}
            raise Refused(_("%(count)s rows of %(table)s are there already (%(some)s): nothing was restored.") % told)


def _insert(table: str, rows: list[dict[str, Any]]) -> int:
    names = ", ".join(_quoted(name) for name in rows[0] if name in _columns(table))
    with connection.cursor() as cursor:
        try:
            cursor.execute(
                f"INSERT INTO {_quoted(table)} ({names}) SELECT {names}"  # noqa: S608 # checked against the database
                f" FROM json_populate_recordset(NULL::{_quoted(table)}, %s::json)",
                [json.dumps(rows)],
            )
        except DatabaseError as error:
            why = str(error).partition("\n")[0]
            raise Refused(
                _("%(table)s did not take the rows: %(reason)s. Nothing was restored.")
                % {"table": table, "reason": why}
            ) from error
        return int(cursor.rowcount)


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
