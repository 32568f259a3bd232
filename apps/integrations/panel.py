"""How a service and its circuit breaker stand, in the words of their pages: one look, and what to expect (S1-48 to S1-54)."""

import datetime as dt
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.formats import date_format, number_format
from django.utils.http import urlencode
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.actions.models import ActionItem, history_of
from apps.actions.running import database_now
from apps.actions.verbs import state_label
from apps.integrations.draining import Outlook, outlook
from apps.integrations.models import CircuitBreaker, Service
from apps.integrations.models.service import RAMP
from apps.integrations.traffic import Calls, calls_in
from apps.integrations.watching import Sample, Watch, last_watch
from apps.jobs.backlog import backlogs

Told = dict[str, Any]
"""What a template is told; templates/integrations/breaker_live.html names the words."""
WAITING = "admin:operations_pendingoperation_changelist"
LATELY = (dt.timedelta(minutes=5), dt.timedelta(hours=1))
MINUTE, HOUR = 60, 3600


def panel(breaker: CircuitBreaker) -> Told:
    """Return how a breaker and its service stand now."""
    service, now = breaker.service, database_now()
    five, hour = calls_in(service.pk, [(now - span, now) for span in LATELY])
    waiting, _oldest = backlogs("service").get(service.pk, (0, None))
    told = _outlook(breaker, waiting, hour, now)
    return {
        "url": reverse("admin:integrations_circuitbreaker_change", args=[breaker.pk]),
        "status": breaker.status,
        "word": breaker.get_status_display(),
        "since": breaker.closed_at if breaker.status == CircuitBreaker.Status.CLOSED else breaker.opened_at,
        "reason": breaker.reason,
        "standing": _standing(breaker, now),
        "tiles": [
            _tile_of_calls(_("Failed calls, 5 minutes"), five),
            _tile_of_calls(_("Failed calls, 1 hour"), hour),
            _tile_waiting(service, waiting),
            {
                "label": _("All out"),
                "value": None,
                "words": span_words(told.seconds) if waiting else _("nothing waits"),
            },
        ],
        "probe": _probe(breaker, now),
        "expect": _expect(breaker, told),
        "limits": _limits(service, now),
        "last_probe": _last_probe(service),
        "watch": _told_watch(last_watch(breaker, now)),
    }


def _standing(breaker: CircuitBreaker, now: dt.datetime) -> str:
    if breaker.forced:
        return _forced(breaker)
    match breaker.status:
        case CircuitBreaker.Status.OPEN:
            return _("No call goes out. What waits is kept and uses no attempt.")
        case CircuitBreaker.Status.HALF_OPEN:
            return _("One probe is on its way, and decides: an answer closes it, a failure opens it again.")
    climbed = _climbed(breaker, now)
    if climbed < RAMP.total_seconds():
        share = max(10, round(100 * climbed / RAMP.total_seconds()))
        return _("Calls pass. The pace climbs back since it closed: %(share)s %% of the whole by now.") % {
            "share": share
        }
    return _("Calls pass.")


def _forced(breaker: CircuitBreaker) -> str:
    forced: QuerySet[ActionItem] = history_of(breaker.pk).filter(verb="force_open")
    by = forced.values_list("actor_name", flat=True).first() or "?"
    if breaker.probe_due_at is None:
        return _("%(who)s holds it open until somebody resets it. No call goes out.") % {"who": by}
    until = date_format(localtime(breaker.probe_due_at), "SHORT_DATETIME_FORMAT")
    return _("%(who)s holds it open until %(until)s; a probe decides then. No call goes out.") % {
        "who": by,
        "until": until,
    }


def _climbed(breaker: CircuitBreaker, now: dt.datetime) -> float:
    """Return for how many seconds the pace has been climbing; a breaker that never opened has no climb."""
    if breaker.status != CircuitBreaker.Status.CLOSED:
        return 0
    return (now - breaker.closed_at).total_seconds() if breaker.closed_at else RAMP.total_seconds()


def _outlook(breaker: CircuitBreaker, waiting: int, lately: Calls, now: dt.datetime) -> Outlook:
    return outlook(breaker.service, waiting, lately, _climbed(breaker, now))


def _probe(breaker: CircuitBreaker, now: dt.datetime) -> Told | None:
    """Return when the next probe goes out: in so many seconds, as the page counts them down."""
    if breaker.status == CircuitBreaker.Status.CLOSED or breaker.probe_due_at is None:
        return None
    return {"at": breaker.probe_due_at, "seconds": max(0, round((breaker.probe_due_at - now).total_seconds()))}


def _expect(breaker: CircuitBreaker, told: Outlook) -> str:
    if not told.waiting:
        return _("Nothing waits for it.")
    words = {
        "count": number_format(told.waiting, force_grouping=True),
        "span": span_words(told.seconds),
        "pace": _pace_words(told),
    }
    if breaker.status == CircuitBreaker.Status.CLOSED and breaker.service.status == Service.Status.ACTIVE:
        return (
            ngettext(
                "%(count)s waits, and will be out in about %(span)s: %(pace)s.",
                "%(count)s wait, and will be out in about %(span)s: %(pace)s.",
                told.waiting,
            )
            % words
        )
    return (
        ngettext(
            "%(count)s waits. If calls passed from now on, it would be out in about %(span)s: %(pace)s.",
            "%(count)s wait. If calls passed from now on, they would be out in about %(span)s: %(pace)s.",
            told.waiting,
        )
        % words
    )


def _pace_words(told: Outlook) -> str:
    pace = _pace(told.per_second)
    if told.by_limit:
        return _("it takes %(pace)s a second, by its limit") % {"pace": pace}
    return _("it has lately answered no faster than %(pace)s a second") % {"pace": pace}


def _pace(per_second: float) -> str:
    whole = per_second >= 10 or per_second == round(per_second)
    return str(number_format(per_second, 0 if whole else 1, force_grouping=True))


def _limits(service: Service, now: dt.datetime) -> list[tuple[str, str]]:
    pace = _("%(rate)s a second, bursts of %(burst)s, %(most)s at once") % {
        "rate": _pace(service.rate_per_second),
        "burst": service.burst,
        "most": service.max_in_flight,
    }
    limits = [(_("Limit"), pace)]
    if service.waits_until and service.waits_until > now:
        limits.append((_("It asked us to wait"), _until(service.waits_until, service.waits_because)))
    if service.status == Service.Status.PAUSED:
        limits.append((_("Paused"), service.paused_reason))
    return limits


def _last_probe(service: Service) -> Told | None:
    """Return what came of the last probe; of one that is under way, that it is."""
    if service.probe_asked_at and (service.probed_at is None or service.probed_at < service.probe_asked_at):
        return {"words": _("asked, the answer is on its way")}
    if service.probed_at is None:
        return None
    state, word = ("completed", _("answers")) if service.probe_ok else ("failed", _("fails"))
    return {"state": state, "word": word, "words": service.probe_said, "at": service.probed_at}


def _until(moment: dt.datetime, because: str) -> str:
    return _("until %(time)s: %(because)s") % {"time": date_format(localtime(moment), "H:i:s"), "because": because}


def _tile_of_calls(label: str, calls: Calls) -> Told:
    counted = {
        "failed": number_format(calls.failed, force_grouping=True),
        "made": number_format(calls.made, force_grouping=True),
    }
    share = calls.failed_share
    words = _("no calls") if share is None else f"{number_format(share, 1)} %"
    return {
        "label": label,
        "value": None,
        "words": words,
        "state": "failed" if calls.failed else "",
        "threshold": _("%(failed)s of %(made)s") % counted if calls.made else "",
    }


def _tile_waiting(service: Service, waiting: int) -> Told:
    url = f"{reverse(WAITING)}?{urlencode({'status': 'pending', 'service': service.slug})}"
    return {"label": _("Waiting behind it"), "value": waiting, "url": url, "state": "pending"}


def _told_watch(watch: Watch | None) -> Told | None:
    if watch is None:
        return None
    return {
        "began_at": watch.began_at,
        "by": watch.by,
        "words": watch_words(watch),
        "state": _watch_state(watch),
        "samples": [told_sample(sample) for sample in watch.samples],
    }


def told_sample(sample: Sample) -> Told:
    """Return a sample as pages and commands show it."""
    return {
        "at": sample.at,
        "status": sample.status,
        "word": state_label(CircuitBreaker, sample.status),
        "made": sample.calls.made,
        "failed": sample.calls.failed,
    }


def watch_words(watch: Watch) -> str:
    """Say how a watch goes."""
    if watch.reopened_at:
        after = span_words((watch.reopened_at - watch.began_at).total_seconds())
        return _("It opened again %(after)s after the reset.") % {"after": after}
    if not watch.over:
        done = {"done": len(watch.samples), "of": watch.of}
        return _("Watching for five minutes: %(done)s of %(of)s samples, it has not opened again.") % done
    if watch.status == CircuitBreaker.Status.CLOSED:
        return _("It did not open again within five minutes.")
    return _("Five minutes are over, and it has not closed.")


def _watch_state(watch: Watch) -> str:
    if watch.reopened_at:
        return "failed"
    if not watch.over:
        return "watching"
    return "completed" if watch.status == CircuitBreaker.Status.CLOSED else "warning"


def span_words(seconds: float) -> str:
    """Write a span in its largest unit, as people say it."""
    for size, unit in ((HOUR, _("h")), (MINUTE, _("min"))):
        if seconds >= size:
            return f"{round(seconds / size)} {unit}"
    return f"{max(1, round(seconds))} {_('s')}"
