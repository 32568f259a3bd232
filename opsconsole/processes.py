"""Programs we start: each in a session of its own, and none outlives us."""

import contextlib
import ctypes
import os
import pwd
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypedDict

PR_SET_PDEATHSIG = 1
LARGEST_LOG = 10_000_000  # at a start, a log that has grown so large is put aside


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
    pass_fds: tuple[int, ...] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10
    last_signal: signal.Signals = signal.SIGKILL
    """What it gets when the grace is over, or when we are killed ourselves."""


def start(program: Program) -> subprocess.Popen[bytes]:
    """Start `program`; call it from the main thread, for the kernel ties a child to the thread that made it."""
    with _log(program) as log:
        return _open(program, stdout=log, stderr=log)


def output(program: Program) -> str | None:
    """Run `program` to its end and return what it printed, None where it failed; what it complains of is in its log."""
    with _log(program) as log, _open(program, stdout=subprocess.PIPE, stderr=log) as process:
        try:
            printed, _nothing = process.communicate()
        except KeyboardInterrupt:  # it does not hear Ctrl-C itself
            end(process)
            raise
        return printed.decode() if process.returncode == 0 else None


def stop(process: subprocess.Popen[bytes], program: Program) -> None:
    """Ask the program itself to stop and give it time, ask harder, and then end its whole group."""
    for number in (program.stop_signal, program.last_signal):
        if process.poll() is None:
            process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(program.grace_seconds)
    end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill what there still is of the process and its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # a session of its own: the group has the pid as its name
    process.wait()


def free_port(wanted: int = 0) -> int:
    """Return a port of this machine that nobody has: the wanted one, where that is so."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return free_port()
        return int(probe.getsockname()[1])


class Identity(TypedDict, total=False):
    """The words of `Popen` that say as whom a child runs."""

    user: int
    group: int
    extra_groups: list[int]


def identity(owner: pwd.struct_passwd | None) -> Identity:
    """Return what makes a child run as `owner`."""
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}


def _log(program: Program) -> IO[bytes]:
    program.log.parent.mkdir(exist_ok=True)
    if program.log.exists() and program.log.stat().st_size > LARGEST_LOG:
        program.log.replace(program.log.with_suffix(".old.log"))
    return program.log.open("ab")


def _open(program: Program, stdout: int | IO[bytes], stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  # programs are built by us
        program.argv,
        env=dict(program.env),
        cwd=program.cwd,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        pass_fds=program.pass_fds,
        # Ctrl-C reaches the whole foreground group at once; we stop things in order.
        start_new_session=True,
        umask=0o077,
        # After the change of user, which would make the kernel forget it.
        preexec_fn=_die_with_parent(program.last_signal),
        **identity(program.owner),
    )


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
