"""What processes count as they go, for /metrics: requests, calls, events. Where a row keeps the truth, the row is read instead.

Every process of a host writes into files of its own in one folder (the multiprocess mode of prometheus-client), so web,
workers and commands count into the same numbers, containers too where they share the data folder. A process holds a lock
while it lives; who comes after it adds what a dead one counted to `past` and removes its files, so that a thousand deaths
leave no more behind than one. Counting never breaks what is counted.
"""

import fcntl
import logging
import os
import secrets
import socket
import time
from bisect import bisect_left
from collections import Counter as Counted
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from typing import ParamSpec

from django.conf import settings
from prometheus_client import Counter, Histogram, Metric, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

log = logging.getLogger(__name__)

Told = ParamSpec("Told")

FOLDER = Path(settings.DATA_DIR) / "metrics"
PAST = "past"
SIZES = {"counter": 256 * 1024, "histogram": 1024 * 1024}
"""Bytes of each file, written out at once: a mapped file that outgrows its disk would kill the process."""
AGAIN_SECONDS = 60.0
"""Where there is no room for its files, a process tries again so much later."""
WEB = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
OUTSIDE = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Upper bounds in seconds of a request that we answer, and of a call that we make."""


def harmless(count: Callable[Told, None]) -> Callable[Told, None]:
    """Let nothing out: a full disk or a folder of somebody else's may cost a number, never the work."""

    @wraps(count)
    def counted(*args: Told.args, **named: Told.kwargs) -> None:
        try:
            count(*args, **named)
        except Exception:
            log.debug("Not counted.", exc_info=True)

    return counted


class Count:
    """A number that only rises, by its labels. Their values must be few: no ids, no phones."""

    def __init__(self, name: str, help: str, *labels: str) -> None:
        self._labelled = cache(Counter(name, help, labels, registry=None).labels)

    @harmless
    def add(self, *labels: str, amount: float = 1) -> None:
        """Count, under the values of the labels."""
        self._labelled(*labels).inc(amount)


class Spans:
    """How long something took, by its labels."""

    def __init__(self, name: str, help: str, *labels: str, buckets: Sequence[float] = OUTSIDE) -> None:
        self._labelled = cache(Histogram(name, help, labels, buckets=buckets, registry=None).labels)
        self._bounds = buckets

    def took(self, seconds: float, *labels: str) -> None:
        """Note a span, under the values of the labels."""
        self.took_each([seconds], *labels)

    @harmless
    def took_each(self, spans: Iterable[float], *labels: str) -> None:
        """Note many spans, all under the same values of the labels."""
        told, span = list(spans), self._labelled(*labels)
        # What `observe` does for each of them, in one write for each bound.
        span._sum.inc(sum(told))
        for bound, number in Counted(bisect_left(self._bounds, seconds) for seconds in told).items():
            span._buckets[bound].inc(number)


@dataclass(frozen=True)
class Holding:
    """The files of this process: their name, and the lock that says that it lives."""

    pid: int
    name: str
    lock: int


_holding: Holding | None = None
_not_before = 0.0
_may_begin = False


def identity() -> str:
    """Return the name of this process's files; made at its first count, and anew in a process that was forked."""
    global _holding, _not_before
    if _holding is None or _holding.pid != os.getpid():
        if time.monotonic() < _not_before:
            raise OSError
        try:
            _holding = _hold()
        except OSError:
            _not_before = time.monotonic() + AGAIN_SECONDS
            raise
    return _holding.name


def counted() -> list[Metric]:
    """Return what all processes of this host counted."""
    if not FOLDER.is_dir():
        return []
    with _whole(fcntl.LOCK_SH):
        return list(MultiProcessCollector(None, str(FOLDER)).collect())


def _hold() -> Holding:
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(3)}".replace("_", "-")
    with _whole(fcntl.LOCK_EX):
        for dead in _dead():
            _bury(dead)
        lock = os.open(_lock_of(name), os.O_CREAT | os.O_WRONLY, 0o600)
        # Not flock: a forked child would go on holding it for its parent.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            for kind, size in SIZES.items():
                _file(kind, name).write_bytes(bytes(size))
        except OSError:
            os.close(lock)
            _forget(name)
            raise
    return Holding(os.getpid(), name, lock)


def _dead() -> list[str]:
    """Return the names of processes that are gone: nobody holds their locks."""
    return [path.stem for path in FOLDER.glob("*.lock") if path.stem != _own_name() and _is_free(path)]


def _own_name() -> str:
    """Return our own name: to open our own lock a second time, and close it, would let go of it."""
    return _holding.name if _holding and _holding.pid == os.getpid() else ""


def _is_free(path: Path) -> bool:
    with path.open("ab") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def _bury(name: str) -> None:
    """Add what a dead process counted to the past. Killed in between, we count a little twice; nothing rests on it."""
    for kind in SIZES:
        left = _file(kind, name)
        if left.exists():
            _add(left, _file(kind, PAST))
    _forget(name)


def _forget(name: str) -> None:
    for path in (*(_file(kind, name) for kind in SIZES), _lock_of(name)):
        path.unlink(missing_ok=True)


def _add(left: Path, past: Path) -> None:
    total = MmapedDict(str(past))
    try:
        for key, value, _at, _position in MmapedDict.read_all_values_from_file(str(left)):
            total.write_value(key, total.read_value(key)[0] + value, 0.0)
    except Exception:  # it died in the middle of a word
        log.warning("What a process counted cannot be read; it is left out: %s", left.name)
    finally:
        total.close()


@contextmanager
def _whole(how: int) -> Iterator[None]:
    """Keep the files as they are while they are added up or buried."""
    with (FOLDER / "whole").open("ab") as lock:
        fcntl.flock(lock, how)
        yield


def _file(kind: str, name: str) -> Path:
    return FOLDER / f"{kind}_{name}.db"


def _lock_of(name: str) -> Path:
    return FOLDER / f"{name}.lock"


os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(FOLDER)  # read by the library whenever it opens a file
# The library asks at once; a process that never counts shall leave no files.
values.ValueClass = values.MultiProcessValue(lambda: identity() if _may_begin else "")
_may_begin = True
