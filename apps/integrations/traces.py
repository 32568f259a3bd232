"""W3C trace context: the trace id is our correlation id, kept from what comes in to the calls it leads to."""

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from apps.actions.binding import binding

_SHAPE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
LONGEST_STATE = 512


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a piece of work comes from: `traceparent` as the standard has it, and what passes on with it."""

    traceparent: str
    tracestate: str = ""

    @property
    def id(self) -> str:
        """The trace's id."""
        return self.traceparent[3:35]


def trace_of(traceparent: object, tracestate: object = "") -> Trace:
    """Return the trace that a header names; a new one where it names none or is not as it should be."""
    told = str(traceparent or "").strip()[:200]
    if not _SHAPE.fullmatch(told):
        return Trace(f"00-{_word(16)}-{_word(8)}-01")
    state = str(tracestate or "").strip()
    return Trace(told, state if len(state) <= LONGEST_STATE and state.isprintable() else "")


def child_of(traceparent: str) -> str:
    """Return the header for a call made in a trace: the same trace, a span of its own."""
    return f"{traceparent[:36]}{_word(8)}{traceparent[52:]}"


def _word(size: int) -> str:
    """Return so many random bytes in hex. They are no secret: to ask the system for each lets other threads in between."""
    return random.getrandbits(8 * size).to_bytes(size).hex()


_current: ContextVar[str] = ContextVar("traceparent", default="")


def current() -> Trace:
    """Return the trace of what is being done, so that what it makes stays in it; a new one where there is none."""
    return trace_of(_current.get())


@contextmanager
def within(traceparent: str, **more: object) -> Iterator[None]:
    """Do something in a trace: lines of the log carry its id, and `more`. Without a trace they carry `more` alone."""
    told = {"trace": Trace(traceparent).id, **more} if traceparent else more
    token = _current.set(traceparent)
    try:
        with binding(**told):
            yield
    finally:
        _current.reset(token)
