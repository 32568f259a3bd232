"""How a queue stands, in the words of its page and of the list (S1-72 to S1-76, S3-24)."""

import datetime as dt
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from apps.jobs.advice import advice
from apps.jobs.lanes import Standing, standings
from apps.jobs.models import Queue

Told = dict[str, Any]
"""What a template is told; templates/jobs/queue_live.html names the words."""
MINUTE, HOUR, DAY = 60, 3600, 86400
GROWING_SHOWN = 3


def panel(queue: Queue, now: dt.datetime) -> Told:
    """Return how a queue stands now."""
    standing = standings([queue], now)[queue.pk]
    return {
        "standing": _standing(standing),
        "tiles": _tiles(standing),
        "advice": advice(standing),
        "error": standing.lane.error,
        "error_at": standing.lane.error_at,
    }


def drain_words(standing: Standing) -> str:
    """Say in how long a queue is empty at the present rate."""
    if not standing.waiting:
        return _("nothing waits")
    if standing.queue.status == Queue.Status.PAUSED:
        return _("paused")
    seconds = standing.drained_in_seconds
    return _("never") if seconds is None else span_words(seconds)


def rate_words(rate: float) -> str:
    """Write how many a minute."""
    return str(number_format(rate, 0 if rate >= 10 or rate == round(rate) else 1, force_grouping=True))


def places_words(standing: Standing) -> str:
    """Say how many workers are at a queue, of how many it lets in."""
    return _("%(count)s of %(most)s") % {"count": standing.lane.at_work, "most": standing.queue.concurrency}


def span_words(seconds: float) -> str:
    """Write a span in its largest unit, as people say it."""
    for size, unit in ((DAY, _("d")), (HOUR, _("h")), (MINUTE, _("min"))):
        if seconds >= size:
            return f"{round(seconds / size)} {unit}"
    return f"{max(1, round(seconds))} {_('s')}"


def _standing(standing: Standing) -> str:
    queue = standing.queue
    if queue.status == Queue.Status.PAUSED:
        return _("Work is taken in and waits. Nothing is taken from it until it is resumed, whatever is restarted.")
    if not standing.grows:
        return _("It keeps up.")
    limits = {
        "waiting": number_format(queue.most_waiting, force_grouping=True),
        "span": span_words(queue.longest_wait_seconds),
    }
    return _("It grows: more than %(waiting)s wait, or the oldest has been due for more than %(span)s.") % limits


def _tiles(standing: Standing) -> list[Told]:
    queue, lane = standing.queue, standing.lane
    words = urlencode({"status": "pending", "queue": queue.slug})
    many = standing.waiting > queue.most_waiting
    late = standing.oldest_seconds > queue.longest_wait_seconds
    return [
        {
            "label": _("Waiting"),
            "value": standing.waiting,
            "url": f"{reverse('admin:operations_pendingoperation_changelist')}?{words}",
            "day": standing.past,
            "state": "pending",
            "breached": many,
            "threshold": _("grows above %(most)s") % {"most": number_format(queue.most_waiting, force_grouping=True)},
        },
        {
            "label": _("Oldest due"),
            "value": None,
            "words": span_words(standing.oldest_seconds) if standing.oldest_seconds else _("nothing is due"),
            "breached": late,
            "threshold": _("grows above %(most)s") % {"most": span_words(queue.longest_wait_seconds)},
        },
        _tile(_("In per minute"), rate_words(lane.came)),
        _tile(_("Out per minute"), rate_words(lane.went)),
        _tile(_("All out in"), drain_words(standing)) | {"threshold": _("at this pace") if standing.waiting else ""},
        _tile(_("Workers at it"), places_words(standing)),
    ]


def _tile(label: str, words: str) -> Told:
    return {"label": label, "value": None, "words": words}


def growing(found: Iterable[Standing]) -> list[Told]:
    """Say of the queues that grow what is the matter with each; those most rows wait in, and not more than a few."""
    grown = [each for each in found if each.grows and each.queue.status == Queue.Status.ACTIVE]
    return [_grows(standing) for standing in sorted(grown, key=lambda each: -each.waiting)[:GROWING_SHOWN]]


def _grows(standing: Standing) -> Told:
    words = _("%(queue)s grows: %(waiting)s wait.") % {
        "queue": standing.queue.slug,
        "waiting": number_format(standing.waiting, force_grouping=True),
    }
    url = reverse("admin:jobs_queue_change", args=[standing.queue.pk])
    why = " ".join(each.words for each in advice(standing)[:1])
    return {"state": "warning", "words": f"{words} {why}", "url": url, "link": _("What to do")}
