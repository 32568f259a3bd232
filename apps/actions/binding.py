"""What every line of the log carries while something is done: the trace of a request, the run that is worked on.

One variable with all of it. structlog's own has one for each word, and looks through every variable of the process at each line.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_bound: ContextVar[Mapping[str, Any]] = ContextVar("bound", default={})  # noqa: B039 # nobody writes into it


def bound_now() -> Mapping[str, Any]:
    """Return what lines carry that are said here and now."""
    return _bound.get()


@contextmanager
def binding(**told: object) -> Iterator[None]:
    """Let the lines of a block carry more."""
    token = _bound.set({**_bound.get(), **told})
    try:
        yield
    finally:
        _bound.reset(token)
