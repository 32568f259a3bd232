"""What `manage.py workers` does: how the workers stand, restarting them in order, and more or fewer of them at once."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from django.utils.translation import gettext as _

from apps.actions.running import database_now
from apps.actions.verbs import Refused
from apps.jobs.lanes import Standing, standings
from apps.jobs.models import Process, Queue
from apps.jobs.models.process import draining, live
from apps.jobs.processes import Told, told
from opsconsole import celery

CARRIERS = (Process.Kind.WORKER, Process.Kind.TICKER)
"""What is restarted: Celery's workers. Beat and web are their supervisor's."""
LOOK_SECONDS = 0.5
EXITS = {"running": 0, "paused": 1, "inactive": 2}
"""Horizon's words, and its exit codes (S1-77)."""
MOST_AT_ONCE = 100


@dataclass
class Situation:
    """How processes and queues stand at one moment."""

    rows: list[Process]
    found: list[Told]
    lanes: list[Standing]

    @classmethod
    def now(cls) -> "Situation":
        """Look."""
        moment, rows = database_now(), list(Process.objects.all())
        queues = list(Queue.objects.order_by("slug"))
        return cls(rows, told(rows, moment), list(standings(queues, moment).values()))

    @cached_property
    def word(self) -> str:
        """Whether work is carried: running, paused (every queue is), or inactive (no worker that drains them lives)."""
        if not any(row.drains and not each.silent for row, each in self):
            return "inactive"
        held = [lane.queue.status == Queue.Status.PAUSED for lane in self.lanes]
        return "paused" if held and all(held) else "running"

    def __iter__(self) -> Any:
        return iter(zip(self.rows, self.found, strict=True))

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "status": self.word,
            "processes": [_process(row, each) for row, each in self],
            "queues": [_queue(lane) for lane in self.lanes],
        }


def _process(row: Process, each: Told) -> dict[str, Any]:
    return {
        "name": str(row),
        "process": row.name,
        "kind": row.kind,
        "silent": each.silent,
        "since": row.since,
        "beat_at": row.beat_at,
        "concurrency": row.concurrency,
        "queues": row.queues,
        "doing": [doing.words for doing in each.doing],
        "version": row.version,
    }


def _queue(lane: Standing) -> dict[str, Any]:
    return {
        "name": lane.queue.slug,
        "status": lane.queue.status,
        "length": lane.waiting,
        "wait_seconds": round(lane.oldest_seconds),
        "processes": lane.lane.at_work,
        "came_per_minute": round(lane.lane.came, 1),
        "went_per_minute": round(lane.lane.went, 1),
    }


def restartable() -> tuple[list[Process], list[Process]]:
    """Return the live workers that somebody starts again when they have ended, and those that nobody is known to."""
    rows = list(live(*CARRIERS))
    return [row for row in rows if row.restarted_by], [row for row in rows if not row.restarted_by]


def restart(rows: Sequence[Process], patience_seconds: float, say: Callable[[str], object]) -> list[str]:
    """End workers in order and wait until others beat in their place; return the nodes that did not come back.

    Each finishes what it has begun and takes nothing more; what waits is carried by whoever comes next.
    """
    nodes = [row.node for row in rows]
    _by_broker(partial(celery.end_in_order, nodes))
    before = {row.pk for row in rows}
    waiting, ends = set(nodes), time.monotonic() + patience_seconds
    while waiting and time.monotonic() < ends:
        time.sleep(LOOK_SECONDS)
        for row in live(*CARRIERS).filter(node__in=waiting).exclude(pk__in=before):
            waiting.discard(row.node)
            say(_("%(node)s is back as %(process)s.") % {"node": row.node, "process": row.name})
    return sorted(waiting)


def scale(wanted: int, patience_seconds: float, say: Callable[[str], object]) -> list[str]:
    """Let each worker carry so much at once; return what was not reached, in sentences."""
    nodes = [row.node for row in draining()]
    if not nodes:
        raise Refused(_("No worker runs. Start one first: docker compose up -d worker."))
    sizes = _by_broker(partial(celery.pool_sizes, nodes))
    silent = [_("%(node)s did not answer.") % {"node": node} for node in nodes if node not in sizes]
    return silent + [
        sentence for node, size in sizes.items() if (sentence := _resize(node, size, wanted, patience_seconds, say))
    ]


def _resize(node: str, size: int, wanted: int, patience_seconds: float, say: Callable[[str], object]) -> str:
    """Bring one pool to its size; return why it is not there when the time is up.

    It gives up idle processes only, and takes one that it has just told to end for idle until it is gone: so downwards
    it goes one by one, each step seen before the next is asked for.
    """
    ends, why, now = time.monotonic() + patience_seconds, "", size
    while now != wanted and time.monotonic() < ends:
        step = wanted - now if wanted > now else -1
        why = _by_broker(partial(celery.resize, node, step))
        time.sleep(LOOK_SECONDS)
        now = now if why else _settled(node, now, now + step, ends)
    say(_("%(node)s: %(before)s → %(now)s at once.") % {"node": node, "before": size, "now": now})
    told = {"node": node, "now": now, "wanted": wanted, "why": why or _("it did not get there in time")}
    return "" if now == wanted else _("%(node)s has %(now)s and not %(wanted)s: %(why)s") % told


def _settled(node: str, size: int, expected: int, ends: float) -> int:
    """Wait until a pool has the size that it was asked for; return the size that it has."""
    while size != expected and time.monotonic() < ends:
        size = int(_by_broker(partial(celery.pool_sizes, [node])).get(node, size))
        time.sleep(LOOK_SECONDS)
    return size


def _by_broker(ask: Callable[[], Any]) -> Any:
    """Ask workers over the broker; refuse in a sentence where it is away."""
    try:
        return ask()
    except celery.BrokerAway as error:
        words = _("The broker cannot be reached, and workers are asked over it. Nothing was done: %(why)s")
        raise Refused(words % {"why": error}) from error


def reach() -> tuple[int, int]:
    """Return how much all live workers carry at once, and how many workers the queues together let in."""
    carried = sum(row.concurrency or 0 for row in draining())
    return carried, sum(Queue.objects.values_list("concurrency", flat=True))
