"""What becomes of a line of the log: masked and bounded once, then written to our output and kept in its table.

Every line carries what is bound where it is said (apps/actions/binding.py): the trace of a request or an event, the row
and the run that are worked on. `docs/operating.md` says where people read them.
"""

import atexit
import datetime as dt
import json
import logging
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.core.exceptions import ImproperlyConfigured

from apps.actions.binding import bound_now
from apps.integrations.masking import as_json, masked, masked_text, phones_in
from apps.jobs.keeping import Keeper, Line
from opsconsole import gathering
from opsconsole.gathering import Gathering

LONGEST_TEXT, LONGEST_TRACEBACK, LONGEST_FIELDS = 2_000, 8_000, 4_000
"""In characters."""
PHONES_AT_MOST = 20
OWN = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
"""What every record has; anything else was given with the line."""
WORDS = ("trace", "kind", "service", "tenant")
IDS = ("object_id", "job_run")
"""What a line is found by; each has a column."""


def bound(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a line as JSON, masked, and no longer than they may be."""
    if not told:
        return {}
    hidden: dict[str, Any] = masked(_plain(told))
    text = as_json(hidden)
    return hidden if len(text) <= LONGEST_FIELDS else {"cut": text[:LONGEST_FIELDS]}


def _plain(told: Mapping[str, Any]) -> Any:
    if all(type(value) is str for value in told.values()):
        return told
    try:
        return json.loads(json.dumps(told, default=str, skipkeys=True))
    except (ValueError, TypeError, RecursionError):
        return {name: str(value) for name, value in told.items()}


def line_of(record: logging.LogRecord) -> Line:
    """Return a record as a line; made once, for whoever writes it."""
    made: Line | None = getattr(record, "line", None)
    if made is None:
        made = record.line = _line_of(record)
    return made


def _line_of(record: logging.LogRecord) -> Line:
    given = {name: value for name, value in vars(record).items() if name not in OWN and not name.startswith("_")}
    told = {**getattr(record, "_bound", bound_now()), **given}
    text, traceback = _text(record), _traceback(record)
    words: dict[str, Any] = {name: _storable(told.pop(name, ""), 32 if name == "trace" else 60) for name in WORDS}
    told.setdefault("job_run", told.pop("run_id", None))
    ids: dict[str, Any] = {name: _id(told.pop(name, None)) for name in IDS}
    phones = [*map(str, told.pop("phones", ())), *phones_in(" ".join([text, *map(str, told.values()), traceback]))]
    return Line(
        at=dt.datetime.fromtimestamp(record.created, dt.UTC),
        level=record.levelno,
        logger=record.name[:100],
        text=masked_text(text)[:LONGEST_TEXT],
        traceback=masked_text(traceback)[-LONGEST_TRACEBACK:],
        phones=phones[:PHONES_AT_MOST],
        fields=bound(told),
        process=process_name(),
        **words,
        **ids,
    )


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # its words and values do not fit: better those than nothing
        return f"{record.msg} {record.args!r}"


def _traceback(record: logging.LogRecord) -> str:
    if record.exc_info and record.exc_info[0] is not None:
        return logging.Formatter().formatException(record.exc_info)
    return record.exc_text or record.stack_info or ""


def _storable(value: Any, longest: int) -> str:
    text = str(value or "")
    return masked_text(text)[:longest] if text else ""


def _id(value: Any) -> UUID | None:
    try:
        return value if isinstance(value, UUID) else UUID(str(value)) if value else None
    except ValueError:
        return None


def process_name() -> str:
    """Return which process this is: its host, what it runs, and its number there."""
    return _process_name(os.getpid())


@lru_cache(maxsize=1)  # a fork has a number of its own
def _process_name(number: int) -> str:
    program = Path(sys.argv[0]).parent.name if sys.argv[0].endswith("__main__.py") else Path(sys.argv[0]).name
    what = " ".join([program or "python", *(word for word in sys.argv[1:3] if word.isidentifier())])
    return f"{socket.gethostname()}/{what}/{number}"[:100]


def _as_values(line: Line) -> dict[str, Any]:
    """Return a line as our output has it: what it is found by stands beside its values."""
    beside = {name: str(value) for name in (*WORDS, *IDS) if (value := getattr(line, name))}
    return {**_head(line.at, line.level, line.logger, line.text), **beside, **line.fields}


def _head(at: dt.datetime, level: int, logger: str, text: str) -> dict[str, Any]:
    told = {"timestamp": at.isoformat(timespec="milliseconds"), "level": logging.getLevelName(level).lower()}
    return {**told, "logger": logger, "event": text}


class Json(logging.Formatter):
    """One line of JSON, as collectors of logs read it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = line_of(record)
        told = _as_values(line) | {"process": line.process} | ({"exception": line.traceback} if line.traceback else {})
        return as_json(told)


class MaskedJson(logging.Formatter):
    """The same of a text that is masked already, and that nothing is bound to."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = dt.datetime.fromtimestamp(record.created, dt.UTC)
        head = _head(at, record.levelno, record.name, _text(record)[:LONGEST_TEXT])
        return as_json({**head, "process": process_name()})


class Readable(logging.Formatter):
    """A line as people read it, in a terminal with colours."""

    def __init__(self) -> None:
        super().__init__()
        self.renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0, sort_keys=False)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and its traceback below it."""
        line = line_of(record)
        written = str(self.renderer(None, "", _as_values(line)))
        return f"{written}\n{line.traceback}" if line.traceback else written


class Gathered(logging.Handler):
    """Hands lines on a moment later, many at once; a warning and what is graver at once, after those that wait."""

    def __init__(self, handlers: Iterable[logging.Handler], work: Gathering) -> None:
        super().__init__()
        self.handlers, self.work = list(handlers), work

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a line: its words and what is bound are those of now.

        It holds no lock: whoever hands on holds that of the work, and may have something to say itself.
        """
        record.msg, record.args, record._bound = _text(record), None, bound_now()
        self.work.put(partial(self._hand_on, record))
        if record.levelno >= logging.WARNING:
            self.work.flush()
        return True

    def _hand_on(self, record: logging.LogRecord) -> None:
        for handler in self.handlers:
            if record.levelno >= handler.level:
                handler.handle(record)


def gather() -> None:
    """Let this process write its lines many at once: for the web, where each request has some."""
    root = logging.getLogger()
    root.handlers = [Gathered(root.handlers, gathering.ours)]
    atexit.register(gathering.ours.flush)  # before the keeper's, which was registered before


class KeptLines(logging.Handler):
    """Keeps lines in their table: of each logger from its level on (`OPS_LOG_KEPT`), of any other from `*`'s."""

    def __init__(self, levels: Mapping[str, str], keeper: Keeper | None = None) -> None:
        super().__init__()
        self.levels = {name: _level(name, level) for name, level in levels.items()}
        self.keeper = keeper or Keeper()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the line over. Nothing that goes wrong here reaches whoever said it."""
        try:
            if record.levelno >= self._least(record.name):
                self.keeper.put(line_of(record))
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Write what is left."""
        self.keeper.close()
        super().close()

    def _least(self, logger: str) -> int:
        parts = logger.split(".")
        names = (".".join(parts[:size]) for size in range(len(parts), 0, -1))
        return next(
            (self.levels[name] for name in names if name in self.levels), self.levels.get("*", logging.CRITICAL + 1)
        )


def _level(logger: str, level: str) -> int:
    known = logging.getLevelNamesMapping()
    if level.upper() not in known:
        raise ImproperlyConfigured(
            f"OPS_LOG_KEPT: {logger}={level} names no level. Write one of {', '.join(known)}, as in apps=INFO,*=WARNING."
        )
    return known[level.upper()]


def configuration(production: bool, kept: Mapping[str, str]) -> dict[str, Any]:
    """Return Django's `LOGGING`. Our output goes to standard error: what a command answers goes to standard output."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handlers: dict[str, Any] = {"output": {"class": "logging.StreamHandler", "formatter": "line"}}
    if kept:
        handlers["kept"] = {"()": "opsconsole.log_lines.KeptLines", "levels": dict(kept)}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": f"opsconsole.log_lines.{'Json' if production else 'Readable'}"}},
        "handlers": handlers,
        "root": {"level": "WARNING", "handlers": list(handlers)},
        "loggers": {
            **{name: {"level": "INFO"} for name in ("apps", "opsconsole", "celery", "django_structlog")},
            # A wake-up says nothing: the rows do. gunicorn keeps its own, for whatever is named here loses its handlers.
            **{name: {"level": "WARNING"} for name in ("celery.app.trace", "celery.worker.strategy")},
            "django": {"level": "WARNING", "handlers": []},
            # The middleware says what became of a request, and what it met.
            "django.request": {"level": "CRITICAL"},
        },
    }
