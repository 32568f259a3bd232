"""The data folder of a development machine: one owner, one user of it at a time, secrets made once."""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.utils.translation import gettext as _


class DataFolderError(Exception):
    """The data folder cannot be used, in a sentence for the person who started us."""


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Make the folder where it is missing, and keep every other start out of it until the block ends."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        lock = (folder / "lock").open("a+")
    except OSError as error:
        raise DataFolderError(
            _("%(folder)s cannot be used: %(reason)s. Set OPS_DATA_DIR to a folder of yours and start again.")
            % {"folder": folder, "reason": error.strerror}
        ) from error
    with lock:
        _lock(lock.fileno(), folder)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def made_once(path: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> str:
    """Return the secret in `path`; made at the first asking, readable by the owner only."""
    if not path.exists():
        unfinished = path.with_suffix(".new")
        unfinished.touch(mode=0o600)
        unfinished.chmod(0o600)
        unfinished.write_text(make() + "\n")
        unfinished.rename(path)  # whole or not at all, should we be killed here
    return path.read_text().strip()


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DataFolderError(
            _(
                "opsconsole already runs on %(folder)s (process %(pid)s). Stop it first, or start this one with data and a "
                "port of its own: OPS_DATA_DIR=... OPS_PORT=..."
            )
            % {"folder": folder, "pid": (folder / "lock").read_text()}
        ) from error
