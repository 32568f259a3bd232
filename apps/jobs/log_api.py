"""The API of the log: its lines, and what it says most often."""

import datetime as dt
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import BaseModel, Field, create_model

from apps.actions.api import actor_of
from apps.jobs.log_search import CONDITIONS, matching, older_than, patterns, require_reading
from apps.jobs.models import LogLine

router = Router(tags=["logs"])
PAGE = ("limit", "after")


class LogLineRow(Schema):
    """A line of the log, masked."""

    id: UUID
    at: dt.datetime
    level: str
    logger: str
    text: str
    trace: str
    kind: str
    object_id: UUID | None
    job_run: UUID | None
    service: str
    tenant: str
    fields: dict[str, Any]
    traceback: str
    process: str

    @staticmethod
    def resolve_level(line: LogLine) -> str:
        """Return the level's name, which stays the same in every language."""
        return LogLine.Level(line.level).name.lower()


class LogLinePage(Schema):
    """Lines, newest first."""

    items: list[LogLineRow]
    next: str | None


class PatternRow(Schema):
    """Lines that differ only in ids, numbers, dates, phones and quoted values."""

    pattern: str
    text: str
    level: str = Field(validation_alias="level_word")
    count: int
    first_at: dt.datetime
    last_at: dt.datetime


class PatternPage(Schema):
    """The most frequent first."""

    items: list[PatternRow]


def _words(name: str, **more: Any) -> type[BaseModel]:
    texts: dict[str, Any] = dict.fromkeys(CONDITIONS, (str | None, None))
    return create_model(name, **texts, **more)


Asked = _words("LogLineAsking", limit=(int, Field(100, ge=1, le=1000)), after=(UUID | None, None))
AskedPatterns = _words("PatternAsking")


@router.get("", response=LogLinePage, summary="List lines of the log", operation_id="logline_list")
def lines(request: HttpRequest, words: Query[Asked]) -> Any:  # type: ignore[valid-type] # made from the words
    """Newest first. `level` is that level and graver, `q` a text (`error|failed`: one or the other). Follow `next` for more."""
    require_reading(actor_of(request))
    asked: Any = words
    rows = matching({word: request.GET[word] for word in request.GET if word not in PAGE})
    found = list((older_than(rows, asked.after) if asked.after else rows)[: asked.limit + 1])
    return {
        "items": found[: asked.limit],
        "next": _next(request, found[asked.limit - 1]) if len(found) > asked.limit else None,
    }


@router.get(
    "/patterns", response=PatternPage, summary="Count lines of the log by pattern", operation_id="logline_patterns"
)
def counted(request: HttpRequest, words: Query[AskedPatterns]) -> Any:  # type: ignore[valid-type] # made from the words
    """The most frequent first, of the last 24 hours where neither `hours` nor `since` says otherwise."""
    require_reading(actor_of(request))
    return {"items": patterns(request.GET.dict())}


def _next(request: HttpRequest, last: LogLine) -> str:
    words = request.GET.copy()
    words["after"] = str(last.pk)
    return f"{request.path}?{words.urlencode()}"
