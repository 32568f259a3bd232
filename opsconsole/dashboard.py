"""The dashboard as people read it: the day in numbers, each of which leads to exactly the rows that it counts."""

import datetime as dt
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from apps.actions.actors import Actor
from apps.integrations.models import CircuitBreaker
from opsconsole.home import Situation
from opsconsole.overview import Overview, RetryQueueSince, Sent, Share

Told = dict[str, Any]
"""What a template is told of one thing; templates/home/dashboard.html names the words."""
OPERATIONS = "admin:operations_pendingoperation_changelist"
EVENTS = "admin:integrations_integrationevent_changelist"
LETTERS = "admin:deadletters_deadletter_changelist"
WAITING = "unresolved,retrying"
ROWS_SHOWN = 30
"""So many types or sources of events; the list has them all."""


def page(request: HttpRequest) -> TemplateResponse:
    """Show the dashboard; asked by its own moving part, answer with that part alone."""
    if not request.user.has_perm("operations.view_pendingoperation"):
        raise PermissionDenied
    now = Overview(request, Actor.of_user(request.user))
    live = request.headers.get("HX-Target") == "dashboard-live"
    told = {"dashboard": told_dashboard(now), "title": _("Dashboard")}
    if live:
        return TemplateResponse(request, "home/dashboard_live.html", told)
    return TemplateResponse(request, "home/dashboard.html", admin.site.each_context(request) | told)


def told_dashboard(now: Overview) -> Told:
    """Return the dashboard as its template reads it."""
    return {
        "headline": Situation(now.request).headline,
        "asked_at": now.asked_at,
        "midnight": now.midnight,
        "tiles": [tiles for tiles in (_event_tiles(now), [*_delivery_tiles(now), *_queue_tiles(now)]) if tiles],
        "tables": [table for table in (*_events(now), _by_service(now), _by_kind(now)) if table["rows"]],
        "breakers": _breakers(now),
    }


def _event_tiles(now: Overview) -> list[Told]:
    told = now.events
    if now.day is None or told.pending is None:
        return []
    day, since = now.day.whole, now.midnight
    return [
        _tile(_("Events waiting"), told.pending, listed(EVENTS, status="received,processing"), "received"),
        _tile(_("Events today"), day.total, listed(EVENTS, since=since), ""),
        _tile(_("Processed today"), day.processed, listed(EVENTS, status="processed", since=since), "processed")
        | {"threshold": _("success rate %(share)s") % {"share": percent(told.success_rate)}},
        _tile(_("Failed events today"), day.failed, listed(EVENTS, status="failed", since=since), "failed")
        | {"threshold": _("error rate %(share)s") % {"share": percent(told.error_rate)}},
    ]


def _events(now: Overview) -> list[Told]:
    """Which type of event fails most, and which system it comes from (S1-66, S1-67)."""
    told = now.events
    heads = [_("Events"), _("Processed"), _("Failed"), _("Error rate")]
    titles = {
        "type": (_("Events of today, by type"), _("Type"), told.by_type),
        "source": (_("Events of today, by source"), _("Source"), told.by_source),
    }
    return [
        {"title": title, "heads": [head, *heads], "rows": _event_rows(now, word, parts or {})}
        for word, (title, head, parts) in titles.items()
    ]


def _event_rows(now: Overview, word: str, parts: dict[str, Share]) -> list[Told]:
    return [_told_part(now, {word: name}, name, part) for name, part in list(parts.items())[:ROWS_SHOWN]]


def _told_part(now: Overview, which: dict[str, str], name: str, part: Share) -> Told:
    cells = [
        _cell(part.total, listed(EVENTS, **which, since=now.midnight)),
        _cell(part.processed, listed(EVENTS, **which, status="processed", since=now.midnight)),
        _cell(part.failed, listed(EVENTS, **which, status="failed", since=now.midnight)),
        {"words": percent(part.error_rate)},
    ]
    return {"name": name, "cells": cells}


def _delivery_tiles(now: Overview) -> list[Told]:
    today, since = now.deliveries.today, now.midnight
    return [
        _tile(
            _("Delivered today"), today.sent, listed(OPERATIONS, status="completed", completed_since=since), "completed"
        ),
        _tile(_("Failed today"), today.failed, listed(OPERATIONS, status="failed", failed_since=since), "failed"),
        {"label": _("Error rate"), "value": None, "words": percent(today.error_rate)},
    ]


def _queue_tiles(now: Overview) -> list[Told]:
    tiles = [
        _retried(_("Retry queue, operations"), now.retried_operations, listed(OPERATIONS, status="pending", attempts=1))
    ]
    if now.retried_events is not None:
        url = listed(EVENTS, status="received", attempts=1)
        tiles.append(_retried(_("Retry queue, events"), now.retried_events, url))
    if now.letters is not None:
        today = _("%(count)s of today") % {"count": number_format(now.letters["today"], force_grouping=True)}
        letters = _tile(_("Dead letters"), now.letters["total"], listed(LETTERS, status=WAITING), "unresolved")
        tiles.append(letters | {"threshold": today})
    return tiles


def _retried(label: str, waiting: RetryQueueSince, url: str) -> Told:
    ready = _("%(ready)s due now") % {"ready": number_format(waiting.ready, force_grouping=True)}
    return _tile(label, waiting.total, url, "pending") | {"threshold": ready}


def _by_service(now: Overview) -> Told:
    return {
        "title": _("Deliveries of today, by service"),
        "heads": [_("Service"), _("Delivered"), _("Failed"), _("Error rate")],
        "rows": [_told_service(now, name, counts) for name, counts in now.deliveries.by_endpoint.items()],
    }


def _told_service(now: Overview, name: str, counts: Sent) -> Told:
    done = listed(OPERATIONS, status="completed", completed_since=now.midnight, service=name)
    given_up = listed(OPERATIONS, status="failed", failed_since=now.midnight, service=name)
    cells = [_cell(counts.sent, done), _cell(counts.failed, given_up), {"words": percent(counts.error_rate)}]
    return {"name": name, "cells": cells}


def _by_kind(now: Overview) -> Told:
    counted = (now.letters or {}).get("by_type", {})
    rows = [
        {"name": kind, "cells": [_cell(count, listed(LETTERS, status=WAITING, title=kind))]}
        for kind, count in counted.items()
    ]
    return {"title": _("Dead letters, by kind of work"), "heads": [_("Kind of work"), _("Waiting")], "rows": rows}


def _breakers(now: Overview) -> list[Told]:
    if now.breakers is None:
        return []
    rows = CircuitBreaker.objects.exclude(status=CircuitBreaker.Status.CLOSED).select_related("service")
    return [
        {
            "name": breaker.service.name,
            "url": reverse("admin:integrations_circuitbreaker_change", args=[breaker.pk]),
            "status": breaker.status,
            "word": breaker.get_status_display(),
            "reason": breaker.reason,
            "since": breaker.opened_at,
        }
        for breaker in rows
    ]


def listed(name: str, **words: dt.datetime | str | int) -> str:
    """Return the address of a list with the words of its filter."""
    told = {word: value.isoformat() if isinstance(value, dt.datetime) else value for word, value in words.items()}
    return f"{reverse(name)}?{urlencode(told)}"


def percent(share: float | None) -> str:
    """Write a rate; nothing has none."""
    return "—" if share is None else f"{number_format(share, 1)} %"


def _tile(label: str, value: int, url: str, state: str) -> Told:
    return {"label": label, "value": value, "url": url, "state": state}


def _cell(count: int, url: str) -> Told:
    return {"count": count, "url": url}
