"""Keeps programs running: starts them in order, starts again what stopped, stops all of them in the opposite order."""

import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from django.utils.translation import gettext as _

from opsconsole import processes
from opsconsole.processes import Program

LONGEST_WAIT_SECONDS = 30
STEADY_SECONDS = 60  # after this long a stop is news, not one more of a row
TICK_SECONDS = 0.1


@dataclass
class Child:
    """A program and its present process."""

    program: Program
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)
    stops: int = 0
    """In a row."""
    again: float | None = None
    """When it is started again; None while it runs."""


class Supervisor:
    """Use it as a context: what it started is stopped when the block ends, whatever ends it."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self.say = say
        self.children: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self.children):
            if child.again is not None:
                continue  # it has ended already, and its process id may be another's by now
            try:
                processes.stop(child.process, child.program)
            except KeyboardInterrupt:  # the person cannot wait
                processes.end(child.process)

    def start(self, program: Program) -> subprocess.Popen[bytes]:
        """Start `program` and keep it running."""
        process = processes.start(program)
        self.children.append(Child(program, process))
        return process

    def tend(self, until: Callable[[], bool] = lambda: False) -> None:
        """Start again what stops, until told otherwise."""
        while not until():
            for child in self.children:
                self._look_after(child)
            time.sleep(TICK_SECONDS)

    def _look_after(self, child: Child) -> None:
        if child.process.poll() is None:
            return
        if child.again is None:
            self._note_stop(child)
        elif time.monotonic() >= child.again:
            child.process = processes.start(child.program)
            child.started, child.again = time.monotonic(), None

    def _note_stop(self, child: Child) -> None:
        processes.end(child.process)  # what it left behind would hold its port and its locks
        now = time.monotonic()
        child.stops = 1 if now - child.started > STEADY_SECONDS else child.stops + 1
        wait = min(2 ** (child.stops - 1), LONGEST_WAIT_SECONDS)
        child.again = now + wait
        self.say(
            _("%(name)s stopped (%(how)s). It starts again in %(wait)s s. Its own words are in %(log)s.")
            % {
                "name": child.program.name,
                "how": _how(child.process.returncode),
                "wait": wait,
                "log": child.program.log,
            }
        )


def _how(code: int) -> str:
    if code < 0:
        return _("killed by %(signal)s") % {"signal": signal.Signals(-code).name}
    return _("exit code %(code)s") % {"code": code}
