"""Memory and start of everything that `manage.py up` runs, and whether a worker grows over a million operations.

Memory is the proportional set size: what processes share is told once. Each round starts the programs anew; the
operations are delivered once, to nginx, by the workers as they are shipped.
"""

import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path as Folder

from benchmarks import far_end
from benchmarks.accounting import cost, disk
from benchmarks.frame import Path, Target, main
from benchmarks.ground import execute, ground
from benchmarks.shipped import open_wide
from opsconsole import development, processes
from opsconsole.development import Machine
from opsconsole.processes import Program

KINDS = ("web", "ticker", "worker", "jobs", "beat")
PATIENCE_SECONDS = 1800
HAND_IN = """
INSERT INTO operations_pendingoperation
SELECT made.* FROM generate_series(1, %s) AS n
  JOIN operations_pendingoperation o ON o.source = 'like erp',
  LATERAL jsonb_populate_record(o, jsonb_build_object('id', uuidv7(), 'source', 'bench', 'status', 'pending',
      'operation_type', 'http.post', 'entity_id', n, 'payload', jsonb_build_object('n', n), 'due_at', now(),
      'created_at', now(), 'updated_at', now())) AS made
"""
MIB = 1024 * 1024
TABLES = ("operations_pendingoperation", "operations_attempt", "jobs_logline")


@contextmanager
def path(quick: bool) -> Iterator[Path]:
    """Let the operations be delivered; give the path."""
    count = 5_000 if quick else 1_000_000
    with ground(), far_end.running() as target, _beginnings() as begin:
        grown, notes = _growth(target, count)
        starts = {f"{kind}, from its start until it works (s)": partial(begin, kind) for kind in ("web", "worker")}
        sizes = {f"{kind}, all its processes (MiB)": partial(_size, begin, kind) for kind in KINDS}
        growth = f"worker, growth over the last nine tenths of {count:,} operations (MiB)"
        yield Path(
            slug="footprint",
            title="Memory and start",
            unit="MiB or s",
            contenders={**starts, **sizes, growth: lambda: grown},
            # In short form it is the first work of each process that is seen.
            targets=[] if quick else [Target("growth, at most so many MiB", growth, 1.0, 16, 4)],
            more_is_better=False,
            notes=notes,
        )


class Began:
    """The programs of `manage.py up`, begun anew when the web is asked for, and how long each took until it worked."""

    def __init__(self, folder: Folder) -> None:
        self.folder, self.running, self.took = folder, ExitStack(), dict[str, float]()
        self.pids = dict[str, int]()

    def __call__(self, kind: str) -> float:
        """Return the seconds that a program took; the web is the first of a round."""
        if kind == "web":
            self.running.close()
            self._begin()
        return self.took[kind]

    def _begin(self) -> None:
        execute("TRUNCATE jobs_process, jobs_heartbeat")
        door = self.running.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
        machine = Machine(self.folder, door.getsockname()[1], dict(os.environ), print)
        programs = {program.name: program for program in development.programs(machine)}
        self._timed(development.web(machine, door), lambda: development.answers(machine.port))
        self._timed(programs["worker"], partial(_works, "worker"))
        for name in ("ticker", "jobs", "beat"):
            self.pids[name] = _begin(self.running, programs[name])
        _wait(lambda: _works("ticker") and _works("jobs"))

    def _timed(self, program: Program, works: Callable[[], bool]) -> None:
        """Begin a program, and take the time until it works."""
        began = time.perf_counter()
        self.pids[program.name] = _begin(self.running, program)
        _wait(works)
        self.took[program.name] = time.perf_counter() - began


def _works(name: str) -> bool:
    """Say whether a worker has given its first sign of life."""
    from apps.jobs.models import Process

    return Process.objects.filter(node__startswith=f"{name}@").exists()


def _wait(until: Callable[[], bool], seconds: float = 120, pause: float = 0.02) -> None:
    ends = time.monotonic() + seconds
    while not until():
        if time.monotonic() > ends:
            raise SystemExit("It took too long.")
        time.sleep(pause)


def _begin(stack: ExitStack, program: Program) -> int:
    process = processes.start(program)
    stack.callback(processes.stop, process, program)
    return process.pid


@contextmanager
def _beginnings() -> Iterator[Began]:
    with tempfile.TemporaryDirectory() as folder:
        began = Began(Folder(folder))
        try:
            yield began
        finally:
            began.running.close()


def _size(began: Began, kind: str) -> float:
    return _mib(began.pids[kind])


def _mib(pid: int) -> float:
    """Return the proportional set size of a process and of those it started."""
    import psutil

    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(each.memory_full_info().pss for each in family) / MIB


def _growth(target: str, count: int) -> tuple[float, list[str]]:
    """Return by how much the worker grows after a tenth of the operations, and what one of them costs."""
    open_wide(target, 256)
    with _beginnings() as began:
        began("web")
        _deliver(count // 10)
        before = _mib(began.pids["worker"])
        with cost() as used:
            _deliver(count - count // 10)
        grown = _mib(began.pids["worker"]) - before
    each = f"Each operation, from the insert to its outcome: {used.told(count - count // 10)}."
    return grown, [each, f"On the disk in bytes for each operation, rows + indexes: {disk(TABLES, count)}."]


def _deliver(count: int) -> None:
    """Hand operations in, and wait until all are delivered."""
    execute(HAND_IN, [count])
    _wait(_delivered, PATIENCE_SECONDS, 1)


def _delivered() -> bool:
    from apps.operations.models import PendingOperation

    return not PendingOperation.objects.filter(status__in=("pending", "processing")).exists()


if __name__ == "__main__":
    main(path, __doc__)
