"""The picture of health for people: the page, and `manage.py status`."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from opsconsole import vitals
from opsconsole.templatetags.console import UNKNOWN, duration, number
from opsconsole.vitals import CHECKS, Finding, Picture

Told = dict[str, Any]
"""What a template is told of one thing; templates/health/health.html names the words."""
STATES = {vitals.OK: "completed", vitals.WARNING: "warning", vitals.ERROR: "failed"}
WORDS = {
    vitals.OK: gettext_lazy("in order"),
    vitals.WARNING: gettext_lazy("look at it"),
    vitals.ERROR: gettext_lazy("wrong"),
}
LABELS = {
    "latency_ms": gettext_lazy("answers in"),
    "clock_ahead_seconds": gettext_lazy("its clock is ahead by"),
    "total": gettext_lazy("waiting in all"),
    "sizes": gettext_lazy("waiting"),
    "oldest_seconds": gettext_lazy("oldest due"),
    "paused": gettext_lazy("paused"),
    "ages_seconds": gettext_lazy("last beat"),
    "silent": gettext_lazy("silent"),
    "by_kind": gettext_lazy("processes by kind"),
    "workers": gettext_lazy("workers"),
    "concurrency": gettext_lazy("at once"),
    "slots_late": gettext_lazy("due and not started"),
    "runs_late": gettext_lazy("waiting too long"),
    "missed": gettext_lazy("missed in a day"),
    "by_state": gettext_lazy("by state"),
    "used": gettext_lazy("used"),
    "most": gettext_lazy("at most"),
    "maxmemory_policy": gettext_lazy("when it is full"),
    "evicted_keys": gettext_lazy("dropped"),
    "used_bytes": gettext_lazy("memory used"),
    "limit_bytes": gettext_lazy("of"),
    "version": gettext_lazy("version"),
    "free_bytes": gettext_lazy("free"),
    "total_bytes": gettext_lazy("of"),
    "free_percent": gettext_lazy("free share"),
    "used_percent": gettext_lazy("memory used"),
    "available_bytes": gettext_lazy("memory left"),
    "load": gettext_lazy("load"),
    "processors": gettext_lazy("processors"),
}
PLACES = {
    "queues": "admin:jobs_queue_changelist",
    "beat": "admin:jobs_heartbeat_changelist",
    "workers": "admin:jobs_process_changelist",
    "jobs": "admin:jobs_jobrun_changelist",
    "database": "admin:database",
    "connections": "admin:database",
}
"""Where a person looks closer."""


def page(request: HttpRequest) -> TemplateResponse:
    """Show how everything stands; asked by its own moving part, answer with that part alone."""
    if not request.user.has_perm("jobs.view_queue"):
        raise PermissionDenied
    now = vitals.picture()
    told = {"health": told_picture(now), "title": _("Health")}
    if request.headers.get("HX-Target") == "health-live":
        return TemplateResponse(request, "health/live.html", told)
    return TemplateResponse(request, "health/health.html", admin.site.each_context(request) | told)


def told_picture(now: Picture) -> Told:
    """Return the picture as its template reads it: what is wrong first."""
    grave = [vitals.ERROR, vitals.WARNING, vitals.OK]
    ordered = sorted(now.checks.items(), key=lambda named: grave.index(named[1].status))
    return {"headline": headline(now), "asked_at": now.taken_at, "checks": [_check(*named) for named in ordered]}


def headline(now: Picture) -> Told:
    """Return the picture in a sentence."""
    wrong = [str(CHECKS[name].title) for name, found in now.checks.items() if found.status == vitals.ERROR]
    odd = [str(CHECKS[name].title) for name, found in now.checks.items() if found.status == vitals.WARNING]
    if wrong:
        return {"state": "failed", "words": _("Wrong: %(names)s.") % {"names": ", ".join(wrong)}}
    if odd:
        return {"state": "warning", "words": _("It works. Look at: %(names)s.") % {"names": ", ".join(odd)}}
    return {"state": "completed", "words": _("Everything that we stand on is in order.")}


def _check(name: str, found: Finding) -> Told:
    return {
        "name": name,
        "title": CHECKS[name].title,
        "state": STATES[found.status],
        "word": WORDS[found.status],
        "message": found.message,
        "facts": list(facts(found.told)),
        "url": reverse(PLACES[name]) if name in PLACES else "",
    }


def facts(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the numbers of a check with their labels, as people read them."""
    for key, value in told.items():
        if isinstance(value, dict):
            parts = [f"{name} {_written(key, inner)}" for name, inner in value.items()]
            yield str(LABELS[key]), ", ".join(parts) or UNKNOWN
        elif value not in (None, []):
            yield str(LABELS[key]), _written(key, value)


def _written(key: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, str):
        return value
    match key.rpartition("_")[2]:
        case "ms":
            return f"{number(value)} ms"
        case "seconds":
            return duration(value) if abs(value) >= 0.1 else _("0 s")
        case "bytes":
            return filesizeformat(value)
        case "percent":
            return f"{number(value)} %"
    return number(value)
