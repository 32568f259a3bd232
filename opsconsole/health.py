"""Health: is the process alive, can it take work in (open to monitors), and how is everything (with a key, or signed in)? (D20)"""

import datetime as dt
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from ninja import Router, Schema, Status

from apps.actions.api import actor_of
from apps.actions.permissions import require_view
from apps.jobs import stats
from apps.jobs.models import JobRun, Queue
from apps.operations.backlog import counts
from opsconsole import VERSION, metrics, vitals
from opsconsole.authentication import key_holder, key_shown

router = Router(tags=["health"])
PIPELINES = ("operations", "syncs")


class Detailed(Schema):
    """Every check with its numbers; `status` is `degraded` where one of them is in error."""

    status: str
    timestamp: dt.datetime
    checks: dict[str, dict[str, Any]]


@require_safe
def alive(request: HttpRequest) -> JsonResponse:
    """Say that the process answers; with a key also, in words, how the work goes (S4's morning check)."""
    body: dict[str, Any] = {"status": "ok", "timestamp": dt.datetime.now(dt.UTC)}
    body |= {"service": "opsconsole", "version": VERSION}
    if key_shown(request):
        told = vitals.at_once({"pipelines": lambda: _pipelines(request)})["pipelines"]
        body |= {
            "pipelines": dict.fromkeys(PIPELINES, _("unknown: the database is down"))
            if isinstance(told, Exception)
            else told
        }
        body = {name: value for name, value in body.items() if value != {}}
    return JsonResponse(body)


@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """Say that the process answers. Touches nothing."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Say whether work can be taken in. Without Redis it can: work is kept, and found by the sweep."""
    answers = vitals.at_once({"database": _database, "redis": vitals.broker})
    words = {name: "down" if isinstance(answer, Exception) else "up" for name, answer in answers.items()}
    able = words["database"] == "up"
    return JsonResponse({"status": "ready" if able else "not_ready", "checks": words}, status=200 if able else 503)


@router.get("/health/detailed", response={200: Detailed, 503: Detailed}, summary="Show every check of health")
def detailed(request: HttpRequest) -> Any:
    """Look at everything we stand on (S1-26 to S1-29). A key needs no more than the scope `queues:view`."""
    require_view(actor_of(request), Queue)
    now = vitals.picture()
    return Status(200 if now.status == vitals.OK else 503, now.body)


@router.get("/metrics", summary="Show the numbers for Prometheus", openapi_extra=metrics.DOCUMENTED)
def exposition(request: HttpRequest) -> HttpResponse:
    """Everything in numbers, in the text format of Prometheus. A key needs no more than the scope `queues:view`."""
    require_view(actor_of(request), Queue)
    return HttpResponse(metrics.exposition(), content_type=metrics.CONTENT_TYPE)


def without_database(message: str) -> JsonResponse:
    """Answer for `/health/detailed` while no key can be looked up: that alone, which `/health/ready` tells everybody."""
    found = {"status": vitals.ERROR, "message": message, "latency_ms": None}
    body = {"status": "degraded", "timestamp": dt.datetime.now(dt.UTC), "checks": {"database": found}}
    return JsonResponse(body, status=503)


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True


def _pipelines(request: HttpRequest) -> dict[str, str]:
    return {"operations": _operations(), "syncs": _syncs()} if key_holder(request) else {}


def _syncs() -> str:
    """Say how the syncs stand: those whose last run failed, by name (S4-18)."""
    jobs = stats.sync_jobs()
    newest = stats.newest_runs([job.pk for job in jobs])
    failing = [job.slug for job in jobs if job.pk in newest and newest[job.pk].status == JobRun.Status.FAILED]
    if failing:
        return _("failing: the last run of %(names)s failed") % {"names": ", ".join(failing)}
    return _("ok")


def _operations() -> str:
    found = counts()
    if found["failed"] > settings.FAILED_ALERT_THRESHOLD:
        return _("failing: %(count)s operations have failed") % {"count": found["failed"]}
    if found["pending"] > settings.PENDING_ALERT_THRESHOLD:
        return _("behind: %(count)s operations are pending") % {"count": found["pending"]}
    return _("ok")
