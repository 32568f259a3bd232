"""Programs we start: each in a session of its own, and none outlives us."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Program:
    """What to start, as whom, and how to ask it to stop."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    cwd: Path = Path("/")
    owner: pwd.struct_passwd | None = None
    """Whom to become; only root can."""
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10
    last_signal: signal.Signals = signal.SIGKILL
    """What it gets when the grace is over, or when we are killed ourselves."""


def start(program: Program) -> subprocess.Popen[bytes]:
    """Start `program`; call it from the main thread, for the kernel ties a child to the thread that made it."""
    with program.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603  # programs are built by us
            program.argv,
            env=dict(program.env),
            cwd=program.cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C reaches the whole foreground group at once; we stop things in order.
            start_new_session=True,
            umask=0o077,
            # After the change of user, which would make the kernel forget it.
            preexec_fn=_die_with_parent(program.last_signal),
            **identity(program.owner),
        )


def stop(process: subprocess.Popen[bytes], program: Program) -> None:
    """Ask the program itself to stop and give it time; then end its whole group."""
    if process.poll() is None:
        process.send_signal(program.stop_signal)
    try:
        process.wait(program.grace_seconds)
    except subprocess.TimeoutExpired:
        _signal_group(process, program.last_signal)
        process.wait(10)
    # What a crashed parent left behind would hold its port and its locks.
    _signal_group(process, signal.SIGKILL)


class Identity(TypedDict, total=False):
    """The words of `Popen` that say as whom a child runs."""

    user: int
    group: int
    extra_groups: list[int]


def identity(owner: pwd.struct_passwd | None) -> Identity:
    """Return what makes a child run as `owner`."""
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)  # a session of its own: the group has the pid as its name
    except ProcessLookupError:
        return


def _die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """Return what ties a child's life to ours; elsewhere than on Linux the next start must find what was left."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died before the tie was made
            os._exit(1)

    return tie
