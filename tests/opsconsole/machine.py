"""`make run` as a process of its own, and what can be seen of it from outside."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import django
from django.conf import settings

from opsconsole import embedded
from opsconsole.processes import free_port

PATIENCE_SECONDS = 180  # a busy machine is slow; what never comes must fail all the same
PACKAGES = str(Path(django.__file__).parent.parent)  # another interpreter of the same version finds them, too
FROM_OUTSIDE = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "OPS_STATICFILES_STORAGE", "OPS_SIMULATOR_URL")


class Machine:
    """One `manage.py up`, on a data folder and a port of its own."""

    def __init__(self, data: Path, port: int, python: str = sys.executable, user: str | None = None) -> None:
        self.data, self.port = data, port
        env = {name: value for name, value in os.environ.items() if name not in FROM_OUTSIDE}
        self.process = subprocess.Popen(  # noqa: S603  # our own command
            [python, "manage.py", "up"],
            cwd=settings.BASE_DIR,
            env=env | {"OPS_DATA_DIR": str(data), "OPS_PORT": str(port), "PYTHONPATH": PACKAGES if user else ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            user=user,
        )
        self.said: list[str] = []

    def hear(self, words: str) -> str:
        """Return the next line with these words."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(line)
            if words in line:
                return line
        raise AssertionError(f"never said {words!r}, but: {''.join(self.said)}")

    def last_words(self) -> str:
        """Wait for it to end by itself and return what it said."""
        return self.process.communicate(timeout=PATIENCE_SECONDS)[0]

    def end(self, number: signal.Signals = signal.SIGINT) -> str:
        """Send the signal, wait for the end and return the last words."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.last_words()

    def below(self) -> set[Path]:
        """Return the /proc folder of every process below this one."""
        return _below(self.process.pid)

    def kill(self, words: str) -> None:
        """Kill the child with these words on its command line."""
        child = next(path for path in _children(self.process.pid) if words in (path / "cmdline").read_text())
        os.kill(int(child.name), signal.SIGKILL)


@contextmanager
def machine(
    data: Path, port: int | None = None, python: str = sys.executable, user: str | None = None
) -> Iterator[Machine]:
    """Run one until the block ends."""
    up = Machine(data, port or free_port(), python, user)
    try:
        yield up
    finally:
        if up.process.returncode is None:
            up.end()
        forget(data)


def forget(data: Path) -> None:
    """Remove what a data folder has elsewhere."""
    if (password := data / "database-password").exists():
        name = embedded.folder_name(password.read_text().strip())
        for folder in (embedded.ROOT_HOME / name, Path(tempfile.gettempdir(), name)):
            shutil.rmtree(folder, ignore_errors=True)


def wait_until(holds: Callable[[], bool]) -> None:
    """Return when it holds; fail when it never does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.02)


def gone(process: Path) -> bool:
    """Say whether the process has ended; one that only nobody has waited for has."""
    try:
        return _stat(process)[0] == "Z"
    except OSError:
        return True


def _below(pid: int) -> set[Path]:
    children = _children(pid)
    return children.union(*(_below(int(child.name)) for child in children))


def _children(pid: int) -> set[Path]:
    return {path for path in Path("/proc").glob("[0-9]*") if _parent(path) == pid}


def _parent(process: Path) -> int:
    try:
        return int(_stat(process)[1])
    except OSError:
        return 0


def _stat(process: Path) -> list[str]:
    # The name of the program comes before, in brackets, and may hold anything.
    return (process / "stat").read_text().rpartition(")")[2].split()
