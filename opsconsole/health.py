"""Health, open to monitors: is the process alive, can it take work in? Checks have a second and write nothing (D20)."""

import datetime as dt
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import redis
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from apps.operations.backlog import counts
from opsconsole import VERSION
from opsconsole.authentication import key_holder, key_shown

DEADLINE_SECONDS = 1.0
pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="health")
"""A check that hangs keeps its thread; the answer does not wait for it."""


@require_safe
def alive(request: HttpRequest) -> JsonResponse:
    """Say that the process answers; with a key also, in words, how the work goes (S4's morning check)."""
    body: dict[str, Any] = {"status": "ok", "timestamp": dt.datetime.now(dt.UTC)}
    body |= {"service": "opsconsole", "version": VERSION}
    if key_shown(request):
        told = _answers({"pipelines": lambda: _pipelines(request)})["pipelines"]
        body |= {"pipelines": {"operations": _("unknown: the database is down")} if told is None else told}
        body = {name: value for name, value in body.items() if value != {}}
    return JsonResponse(body)


@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """Say that the process answers. Touches nothing."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Say whether work can be taken in. Without Redis it can: work is kept, and found by the sweep."""
    answers = _answers({"database": _database, "redis": _redis})
    words = {name: "down" if answer is None else "up" for name, answer in answers.items()}
    able = words["database"] == "up"
    return JsonResponse({"status": "ready" if able else "not_ready", "checks": words}, status=200 if able else 503)


def _answers(asked: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """Ask all at once; None stands for what failed or did not answer in time."""
    futures = {name: pool.submit(_apart, ask) for name, ask in asked.items()}
    wait(futures.values(), timeout=DEADLINE_SECONDS)
    return {name: _answer(future) for name, future in futures.items()}


def _answer(future: "Future[Any]") -> Any:
    if not future.done():
        future.cancel()
        return None
    return None if future.exception() else future.result()


def _apart(ask: Callable[[], Any]) -> Any:
    """Ask on a connection of its own, made now: a kept one may be dead without knowing it."""
    try:
        return ask()
    finally:
        connection.close()


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True


def _redis() -> bool:
    limits = {"socket_timeout": DEADLINE_SECONDS, "socket_connect_timeout": DEADLINE_SECONDS}
    with redis.Redis.from_url(settings.REDIS_URL, **limits) as client:
        return bool(client.ping())


def _pipelines(request: HttpRequest) -> dict[str, str]:
    return {"operations": _operations()} if key_holder(request) else {}


def _operations() -> str:
    found = counts()
    if found["failed"] > settings.FAILED_ALERT_THRESHOLD:
        return _("failing: %(count)s operations have failed") % {"count": found["failed"]}
    if found["pending"] > settings.PENDING_ALERT_THRESHOLD:
        return _("behind: %(count)s operations are pending") % {"count": found["pending"]}
    return _("ok")
