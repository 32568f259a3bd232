"""What the simulator keeps in its folder, so that a kill forgets nothing it has done."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS things (
    kind TEXT, name TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, name)
);
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, service TEXT NOT NULL, tenant TEXT NOT NULL,
    method TEXT NOT NULL, path TEXT NOT NULL, query TEXT NOT NULL, headers TEXT NOT NULL, payload TEXT,
    reference TEXT, key TEXT, effect INTEGER NOT NULL DEFAULT 0, record TEXT,
    status INTEGER, settled_at REAL, faults TEXT
);
CREATE INDEX IF NOT EXISTS calls_reference ON calls (reference);
CREATE INDEX IF NOT EXISTS calls_record ON calls (record);
"""


class FolderInUse(Exception):
    """Another simulator holds the folder."""


class Store:
    """A small SQLite database. Every statement is in the kernel's hands before the answer leaves."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.db = sqlite3.connect(folder / "simulator.sqlite3", isolation_level=None, timeout=2)
        self.db.row_factory = sqlite3.Row
        try:
            # Exclusive shuts a second simulator out. Normal: a killed process loses nothing, a killed machine
            # perhaps the last effects, and no commit waits for the disk.
            for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=NORMAL"):
                self.db.execute(f"PRAGMA {pragma}")
            self.db.executescript(SCHEMA)
        except sqlite3.OperationalError as error:
            raise FolderInUse(str(error)) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        self.db.execute("BEGIN")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def keep(self, kind: str, name: str, body: object) -> None:
        """Write a thing down, in the place of an earlier one of its name."""
        self.db.execute(
            "INSERT INTO things VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
            (kind, name, json.dumps(body)),
        )

    def kept(self, kind: str) -> dict[str, dict[str, object]]:
        """The things of a kind by name, in the order in which they were first kept."""
        rows = self.db.execute("SELECT name, body FROM things WHERE kind = ? ORDER BY rowid", (kind,))
        return {row["name"]: json.loads(row["body"]) for row in rows}

    def forget(self, kind: str, name: str | None = None) -> None:
        """Drop one thing, or all of a kind."""
        self.db.execute("DELETE FROM things WHERE kind = ? AND (? IS NULL OR name = ?)", (kind, name, name))

    def wipe(self) -> None:
        """Forget everything. Numbers of calls go on: one that still runs must not settle a new one of its number."""
        with self.transaction():
            self.db.execute("DELETE FROM things")
            self.db.execute("DELETE FROM calls")
