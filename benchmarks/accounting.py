"""What a measurement cost besides time: processor seconds by program, write-ahead log, and disk."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

PROGRAMS = {
    "bare_web": "web",
    "opsconsole.wsgi": "web",
    "drains": "worker",
    "jobs": "worker",
    "ticks": "ticker",
    "beat": "beat",
    "postgres": "PostgreSQL",
    "valkey": "Valkey",
    "nginx": "far end",
}
"""What stands in the command line of a program, and what we call it."""


@dataclass
class Cost:
    """What was used: processor seconds by program, and bytes of write-ahead log."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    wal: int = 0

    def told(self, count: float) -> str:
        """Say what one of so many cost."""
        each = {name: 1e6 * used / count for name, used in self.seconds.items() if used}
        parts = [f"{name} {micros:,.0f}" for name, micros in sorted(each.items(), key=lambda item: -item[1])]
        return f"processor {' + '.join(parts)} µs, log {self.wal / count:,.0f} bytes"


@contextmanager
def cost() -> Iterator[Cost]:
    """Give what the block uses, once it is over. A program has to live before it and after it."""
    used, before, log = Cost(), _seconds(), _wal()
    yield used
    after = _seconds()
    used.seconds = {name: after[name] - before[name] for name in after}
    used.wal = _wal() - log


def _seconds() -> Counter[str]:
    found = Counter[str]()
    for process in ours():
        times = process.cpu_times()
        # A server's session that ended meanwhile is counted by its parent.
        found[name_of(process)] += times.user + times.system + times.children_user + times.children_system
    return found


def ours() -> list[Any]:
    """Return all processes that this one has started, and theirs."""
    import psutil

    return [process for process in psutil.Process().children(recursive=True) if process.is_running()]


def name_of(process: Any) -> str:
    """Return which program a process is, by its own command line or by that of what started it."""
    words = " ".join(process.cmdline())
    return next((name for mark, name in PROGRAMS.items() if mark in words), "other")


def disk(tables: Iterable[str], rows: int) -> str:
    """Say how many bytes each table takes for one of so many rows, and beside them how many its indexes take."""
    sizes = {table: (_size(table, "table") / rows, _size(table, "indexes") / rows) for table in tables}
    return ", ".join(f"{table} {own:,.0f} + {indexes:,.0f}" for table, (own, indexes) in sizes.items())


def _size(table: str, what: str) -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        parts = "SELECT relid FROM pg_partition_tree(%s) UNION SELECT %s::regclass"
        cursor.execute(f"SELECT sum(pg_{what}_size(relid)) FROM ({parts}) AS part", [table, table])  # noqa: S608 # ours
        return int(cursor.fetchone()[0])


def _wal() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")
        return int(cursor.fetchone()[0])
