"""Lines of the log, as tests put them there."""

import datetime as dt
from typing import Any
from uuid import UUID

from apps.jobs.keeping import Keeper, Line, pattern_of
from apps.jobs.models import LogLine


def said(text: str = "told", **columns: Any) -> LogLine:
    """Keep a line; its id is of the moment at which it was said, as the handler makes it."""
    at = columns.setdefault("at", dt.datetime.now(dt.UTC))
    said.count += 1  # type: ignore[attr-defined] # lines of one millisecond keep their order
    key = UUID(int=(int(at.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62) | said.count)  # type: ignore[attr-defined] # the same
    defaults = {"level": 20, "logger": "apps.test", "process": "test", "pattern": pattern_of(text)}
    return LogLine.objects.create(**{"id": key, "text": text, **defaults, **columns})


said.count = 0  # type: ignore[attr-defined] # see above


class Taker(Keeper):
    """Takes lines and writes none."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Line] = []

    def put(self, line: Line) -> None:
        """Take a line."""
        self.taken.append(line)
