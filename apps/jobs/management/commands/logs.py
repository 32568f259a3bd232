import datetime as dt
import json
import time
from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db.models import QuerySet
from django.utils import timezone

from apps.actions.management.terminal import refusals
from apps.actions.models import short
from apps.actions.running import database_now
from apps.jobs.log_search import CONDITIONS, LEVELS, matching, newer_than, patterns
from apps.jobs.models import LogLine

LOOK_SECONDS = 1.0
LATE = dt.timedelta(seconds=30)
"""So late a line may come to the table and still be shown: a database that is away longer holds it up longer."""
AT_ONCE = 5_000


class Command(BaseCommand):
    help = (
        "Show the log: manage.py logs 'error|failed' --phone 5511999999999 --hours 24. The last lines, the newest at the end; "
        "--follow goes on, --patterns counts. docs/operating.md has the twin of every grep and tail of the runbooks."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "text", nargs="?", default="", help="only lines with this text; a|b is the one or the other"
        )
        parser.add_argument("--errors", action="store_true", help="only errors and graver: --level error")
        parser.add_argument("--level", choices=[*LEVELS], help="this level and graver")
        for word in (word for word in CONDITIONS if word not in ("q", "level")):
            parser.add_argument(f"--{word}", default="", help=HELP.get(word))
        parser.add_argument("--limit", type=int, default=100, help="so many lines (100)")
        parser.add_argument("--follow", action="store_true", help="go on with what comes, until Ctrl-C")
        parser.add_argument(
            "--patterns", action="store_true", help="count what is said over and over, of 24 h or --hours"
        )
        parser.add_argument("--json", action="store_true", help="one line of JSON each")

    def handle(self, *args: Any, **options: Any) -> None:
        words = {word: str(options[word] or "") for word in CONDITIONS if word != "q"} | {"q": options["text"]}
        if options["errors"]:
            words["level"] = "error"
        with refusals():
            if options["patterns"]:
                self._count({word: value for word, value in words.items() if value}, options["json"])
                return
            rows = matching(words)
            shown = list(rows[: max(options["limit"], 0)])[::-1]
        self._show(shown, options["json"])
        if options["follow"]:
            self._follow(rows, options["json"])

    def _show(self, lines: Iterable[LogLine], as_json: bool) -> None:
        for line in lines:
            self.stdout.write(_as_json(line) if as_json else _readable(line))

    def _follow(self, rows: QuerySet[LogLine], as_json: bool) -> None:
        """Show what is new, until we are told to stop. Another process may write a line behind a newer one: nothing is skipped."""
        known = {line.pk for line in _lately(rows).only("id")}
        try:
            while True:
                time.sleep(LOOK_SECONDS)
                seen = list(_lately(rows)[:AT_ONCE])
                self._show((line for line in reversed(seen) if line.pk not in known), as_json)
                known = {line.pk for line in seen}
        except KeyboardInterrupt:
            return

    def _count(self, words: dict[str, str], as_json: bool) -> None:
        for each in patterns(words):
            told = {
                "count": each.count,
                "level": each.level_word,
                "last_at": each.last_at,
                "pattern": each.pattern,
                "text": each.text,
            }
            last = _local(each.last_at)
            readable = f"{each.count:>8}  {each.level_word:8}  {last:%Y-%m-%d %H:%M:%S}  {each.text}"
            self.stdout.write(json.dumps(told, default=str, ensure_ascii=False) if as_json else readable)


HELP = {
    "phone": "lines that name this phone, with or without +55 and the ninth digit",
    "hours": "of the last so many hours",
    "since": "since a day or a moment",
    "before": "before a day or a moment",
    "run": "lines of one job run, by its id",
    "operation": "lines of one operation, by its id",
    "event": "lines of one event, by its id",
    "trace": "lines of one request and all that it led to, by its correlation id",
    "pattern": "lines of one pattern, as --patterns --json names it",
}


def _lately(rows: QuerySet[LogLine]) -> QuerySet[LogLine]:
    return newer_than(rows, database_now() - LATE)


def _local(moment: dt.datetime) -> dt.datetime:
    """Return a moment as the operators' clocks show it."""
    return timezone.localtime(moment, ZoneInfo(settings.OPS_TIME_ZONE))


def _as_json(line: LogLine) -> str:
    told = {
        "at": line.at,
        "level": LogLine.Level(line.level).name.lower(),
        **{
            name: getattr(line, name)
            for name in (
                "logger",
                "text",
                "trace",
                "kind",
                "object_id",
                "job_run",
                "service",
                "tenant",
                "fields",
                "traceback",
                "process",
            )
        },
    }
    return json.dumps(told, default=str, ensure_ascii=False)


def _readable(line: LogLine) -> str:
    beside = [
        line.service,
        line.tenant,
        f"{line.kind.rpartition('.')[2]} {short(line.object_id)}" if line.object_id else "",
    ]
    told = " ".join(f"[{word}]" for word in beside if word)
    head = f"{_local(line.at):%Y-%m-%d %H:%M:%S} {LogLine.Level(line.level).name:8}{line.logger}: {line.text}"
    return "\n".join(filter(None, [f"{head} {told}".rstrip(), line.traceback]))
