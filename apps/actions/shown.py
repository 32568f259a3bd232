"""What is shown once, to the one who asked, and stored nowhere: in no run, no message, no session and no log."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Shown:
    """A secret that was made just now, and what it is. Its text stays out of tracebacks and logs."""

    label: str
    text: str = field(repr=False)


_open: ContextVar[list[Shown] | None] = ContextVar("shown_once", default=None)


def show_once(label: str, text: str) -> None:
    """Hand a secret to the one whose verb is running. Raises `LookupError` where nobody is there to see it."""
    collected = _open.get()
    if collected is None:
        raise LookupError("nobody is there to be shown it")
    collected.append(Shown(label, text))


@contextmanager
def collecting() -> Iterator[list[Shown]]:
    """Collect what is shown while a verb runs."""
    collected: list[Shown] = []
    token = _open.set(collected)
    try:
        yield collected
    finally:
        _open.reset(token)
