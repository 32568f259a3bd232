"""Keeps lines of the log in their table: from a thread and on a connection of its own, in batches, bounded.

Whoever logs never waits and is never broken by it. While the database is away lines are held, up to a bound; what
comes after that is counted and said, once it is back. What is here is a copy: the process's own output has every line.
"""

import atexit
import datetime as dt
import hashlib
import json
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any
from uuid import UUID

import psycopg
from django.db import connections
from uuid6 import uuid7

from apps.deadletters.fingerprints import normalised
from apps.jobs.phones import digest

MOST = 10_000
"""So many lines are held while they cannot be written; at some 2 KB each, 20 MB of a process."""
BATCH = 1_000
EVERY_SECONDS = 0.5
"""A line is in the table so long after it was said."""
AGAIN_SECONDS = (0.5, 10.0)
"""So long it waits before it tries a database that is away again: the first time, and at most."""
IDLE_SECONDS = 30.0
"""A process that says nothing for so long gives its connection back."""
LAST_SECONDS = 2.0
"""So long a process that ends waits for its last lines to be written."""

COLUMNS = (
    "id",
    "at",
    "level",
    "logger",
    "text",
    "trace",
    "kind",
    "object_id",
    "job_run",
    "service",
    "tenant",
    "phones",
    "pattern",
    "fields",
    "traceback",
    "process",
)
COPY = f"COPY jobs_logline ({', '.join(COLUMNS)}) FROM STDIN"


@dataclass(slots=True)
class Line:
    """A line as it may be stored: masked and bounded. `phones` are those it named, before they were masked."""

    at: dt.datetime
    level: int
    logger: str
    text: str
    process: str
    trace: str = ""
    kind: str = ""
    object_id: UUID | None = None
    job_run: UUID | None = None
    service: str = ""
    tenant: str = ""
    phones: Sequence[str] = field(default=(), repr=False)
    fields: Mapping[str, Any] = field(default_factory=dict)
    traceback: str = ""
    id: UUID = field(default_factory=lambda: UUID(int=uuid7().int))

    def row(self) -> list[Any]:
        """Return its columns, in the order of `COLUMNS`."""
        derived = {
            "phones": sorted({digest(phone) for phone in self.phones}),
            "pattern": pattern_of(self.text),
            "fields": json.dumps(self.fields),
        }
        return [derived[column] if column in derived else getattr(self, column) for column in COLUMNS]


@lru_cache(maxsize=1024)  # most lines are like one before
def pattern_of(text: str) -> int:
    """Return what texts have in common that differ only in ids, numbers, dates, phones and quoted values."""
    told = hashlib.sha256(normalised(text).encode("utf-8", "replace")).digest()
    return int.from_bytes(told[:8], "big", signed=True)


def connect() -> psycopg.Connection[Any]:
    """Open a connection of our own to the database. A line that a crash of the server takes with it is no loss."""
    settings = connections["default"].get_connection_params()
    options = f"{settings.get('options', '')} -c synchronous_commit=off -c application_name=log"
    return psycopg.connect(**{**settings, "options": options, "connect_timeout": 3, "autocommit": True})


class Keeper:
    """Takes lines from every thread of a process and writes them. Make one per process; a fork begins with an empty one."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]] = connect, most: int = MOST) -> None:
        self._connect = connect
        self._most = most
        self._inherited: list[Any] = []
        self._begin()
        _keepers.add(self)
        atexit.register(self.close)

    def put(self, line: Line) -> None:
        """Take a line, at once; one too many is counted. Lines of our own thread are not taken: they would never end."""
        if threading.get_ident() == self._own_thread:
            return
        if len(self._lines) >= self._most:
            self._lost += 1  # not exact where threads race, and nothing hangs on it
            return
        self._lines.append(line)
        if self._thread is None or not self._thread.is_alive():
            self._start()
        if len(self._lines) >= BATCH:
            self._wanted.set()

    def close(self, seconds: float = LAST_SECONDS) -> None:
        """Write what is left, and end; what cannot be written in time is lost to the table."""
        self._closing = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def written(self, seconds: float = 10.0) -> bool:
        """Wait until everything that was taken is in the table; say whether it is."""
        ends = time.monotonic() + seconds
        while (self._lines or self._writing) and time.monotonic() < ends:
            self._wanted.set()
            time.sleep(0.01)
        return not self._lines and not self._writing

    def begin_anew(self) -> None:
        """After a fork: what the parent took is the parent's, and its thread and connection are not ours."""
        self._inherited.append(self._connection)  # closing it would say goodbye on the parent's own socket
        self._begin()

    def _begin(self) -> None:
        self._lines: deque[Line] = deque()
        self._lost = 0
        self._writing = False
        self._closing = False
        self._wanted = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._own_thread = 0
        self._connection: psycopg.Connection[Any] | None = None
        self._used_at = 0.0

    def _start(self) -> None:
        if not self._starting.acquire(blocking=False):
            return  # another thread does
        try:
            if (self._thread is None or not self._thread.is_alive()) and not sys.is_finalizing():
                self._thread = threading.Thread(target=self._run, name="log lines", daemon=True)
                with suppress(RuntimeError):  # the process ends, or has too many threads: its output has the line
                    self._thread.start()
        finally:
            self._starting.release()

    def _run(self) -> None:
        self._own_thread = threading.get_ident()
        try:
            self._go_on()
        finally:
            self._hang_up()

    def _go_on(self) -> None:
        wait = EVERY_SECONDS
        while not (self._closing and not self._lines):
            self._wanted.wait(wait)
            self._wanted.clear()
            wait = EVERY_SECONDS if self._write_all() else self._longer(wait)
            if wait != EVERY_SECONDS and self._closing:
                return  # the database is away, and nobody waits for it at the end
            self._rest()

    def _longer(self, wait: float) -> float:
        return min(max(wait * 2, AGAIN_SECONDS[0] * 2), AGAIN_SECONDS[1])

    def _write_all(self) -> bool:
        """Write what there is; say whether the database took it."""
        while self._lines:
            batch = list(islice(self._lines, BATCH))
            self._writing = True
            try:
                self._write([*batch, *self._told_loss(batch)])
            except Exception:
                self._hang_up()
                return False
            else:
                for _line in batch:  # only we take from the left
                    self._lines.popleft()
            finally:
                self._writing = False
        return True

    def _write(self, lines: Sequence[Line]) -> None:
        if self._connection is None:
            self._connection = self._connect()
        self._used_at = time.monotonic()
        try:
            _copy(self._connection, lines)
        except psycopg.DataError:  # one of them cannot be stored: it must not keep the others out
            self._lost += _copy_one_by_one(self._connection, lines)
        self._used_at = time.monotonic()

    def _told_loss(self, batch: Sequence[Line]) -> list[Line]:
        """Return the line that says how many were not kept."""
        lost, self._lost = self._lost, 0
        if not lost:
            return []
        text = f"{lost} lines of this process were not kept here: they came faster than the database took them. Its output has them."
        fields = {"lost": lost}
        return [Line(dt.datetime.now(dt.UTC), 30, __name__, text, batch[-1].process, fields=fields)]

    def _rest(self) -> None:
        if self._connection is not None and time.monotonic() - self._used_at > IDLE_SECONDS:
            self._hang_up()

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()


def _copy(connection: psycopg.Connection[Any], lines: Iterable[Line]) -> None:
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        for line in lines:
            copy.write_row(line.row())


def _copy_one_by_one(connection: psycopg.Connection[Any], lines: Iterable[Line]) -> int:
    """Write each line that can be stored; return how many cannot."""
    refused = 0
    for line in lines:
        try:
            _copy(connection, [line])
        except psycopg.DataError:
            refused += 1
    return refused


_keepers: "weakref.WeakSet[Keeper]" = weakref.WeakSet()


def _begin_all_anew() -> None:
    for keeper in list(_keepers):
        keeper.begin_anew()


os.register_at_fork(after_in_child=_begin_all_anew)
