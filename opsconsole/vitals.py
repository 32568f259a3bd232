"""What we stand on, looked at all at once: database, broker, queues, beat, disk, memory, connections.

One picture for `/health/detailed`, the health page, `/metrics` and `manage.py status`. Each check has a second of its own and
writes nothing (D20); one that fails or hangs says so and takes no other with it.
"""

import datetime as dt
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import redis
from django.conf import settings
from django.db import Error, connection
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.running import database_now
from apps.jobs.backlog import backlogs
from apps.jobs.models import Heartbeat, Process, Queue
from apps.jobs.stats import lateness
from opsconsole.outages import sentence

DEADLINE_SECONDS = 1.0
OK, WARNING, ERROR = "ok", "warning", "error"
SLOW_MS, VERY_SLOW_MS = 50, 100
"""Runbook 1's measure of the database (S1-107)."""
"""Runbook 1's measures of a queue (S1-72, S1-108)."""
DISK_LOW, DISK_FULL = 15, 5
"""Percent that are free."""
MEMORY_HIGH = 90
NEWS = dt.timedelta(minutes=10)
"""A process that was killed is a warning for so long; by then something else carries its work, or others complain."""
CONNECTIONS_HIGH = 80
"""Percent of what there is."""
PARTS = ("active", "idle", "idle in transaction")
"""The states of connections that are always told; others stand beside them where there are any."""

pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="health")
"""A check that hangs keeps its thread; the answer does not wait for it."""


@dataclass(frozen=True)
class Finding:
    """What a check found: ok, warning or error, in numbers, and where it is not ok in a sentence that says what to do."""

    status: str
    told: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""

    @property
    def body(self) -> dict[str, Any]:
        """The finding as programs read it."""
        return {"status": self.status, **({"message": self.message} if self.message else {}), **self.told}


@dataclass(frozen=True)
class Check:
    """Something to look at: its name for people, how to look, and the numbers that are unknown where it fails."""

    title: Any
    look: Callable[[], Finding]
    numbers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """All findings of one moment."""

    checks: Mapping[str, Finding]
    taken_at: dt.datetime

    @property
    def status(self) -> str:
        """`degraded` as soon as one check is in error."""
        return "degraded" if any(found.status == ERROR for found in self.checks.values()) else "ok"

    @property
    def body(self) -> dict[str, Any]:
        """The picture as `/health/detailed` answers it (contracts §1.3)."""
        checks = {name: found.body for name, found in self.checks.items()}
        return {"status": self.status, "timestamp": self.taken_at, "checks": checks}


def picture() -> Picture:
    """Look at everything."""
    answers = at_once({name: check.look for name, check in CHECKS.items()})
    found = {name: answer if isinstance(answer, Finding) else _failed(name, answer) for name, answer in answers.items()}
    return Picture(found, dt.datetime.now(dt.UTC))


def at_once(asked: Mapping[str, Callable[[], Any]], seconds: float | None = None) -> dict[str, Any]:
    """Ask all at once, in the reader's language; an exception stands for what failed or did not answer in time."""
    language = translation.get_language()
    futures = {name: pool.submit(_apart, ask, language) for name, ask in asked.items()}
    wait(futures.values(), timeout=seconds or DEADLINE_SECONDS)
    return {name: _answer(future) for name, future in futures.items()}


def _answer(future: "Future[Any]") -> Any:
    if not future.done():
        future.cancel()
        return TimeoutError()
    return future.exception() or future.result()


def _apart(ask: Callable[[], Any], language: str | None) -> Any:
    """Ask on a connection of its own, made now: a kept one may be dead without knowing it."""
    try:
        with translation.override(language):
            return ask()
    finally:
        connection.close()


def _failed(name: str, error: Any) -> Finding:
    return Finding(ERROR, dict.fromkeys(CHECKS[name].numbers), why(error))


def why(error: Any) -> str:
    """Say why something could not be looked at."""
    if isinstance(error, TimeoutError):
        return _("It did not answer in time.")
    if isinstance(error, Error):
        return sentence(error)
    if isinstance(error, redis.RedisError):
        return _("The broker cannot be reached. Work is kept, and starts when it is back.")
    return _("It could not be looked at (%(kind)s). The reason is in our log.") % {"kind": type(error).__name__}


# The checks


def database() -> Finding:
    """How long the database takes to answer on a connection that stands (S1-29), and how far its clock is from ours."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        began = time.perf_counter()
        cursor.execute("SELECT extract(epoch FROM statement_timestamp())")
        latency = (time.perf_counter() - began) * 1000
        told = {
            "latency_ms": round(latency, 2),
            "clock_ahead_seconds": round(float(cursor.fetchone()[0]) - time.time(), 1),
        }
    if latency < SLOW_MS:
        return Finding(OK, told)
    most = VERY_SLOW_MS if latency > VERY_SLOW_MS else SLOW_MS
    words = _("It takes longer than %(most)s ms to answer. Look at the running and the slowest statements.")
    return Finding(WARNING, told, words % {"most": most})


def broker() -> Finding:
    """How long the broker takes to answer."""
    with _broker() as client:
        client.ping()
        began = time.perf_counter()
        client.ping()
        return Finding(OK, {"latency_ms": round((time.perf_counter() - began) * 1000, 2)})


def broker_memory() -> Finding:
    """What the broker does when it is full: anything but `noeviction` drops messages (S3-33)."""
    with _broker() as client:
        info = client.info()
    told = {
        "maxmemory_policy": info.get("maxmemory_policy"),
        "evicted_keys": info.get("evicted_keys"),
        "used_bytes": info.get("used_memory"),
        "limit_bytes": info.get("maxmemory") or None,
        "version": info.get("valkey_version") or info.get("redis_version"),
    }
    if told["maxmemory_policy"] not in (None, "noeviction"):
        words = _("Its maxmemory-policy is %(policy)s: when it is full it drops wake-ups. Set it to noeviction.")
        return Finding(WARNING, told, words % {"policy": told["maxmemory_policy"]})
    if told["evicted_keys"]:
        words = _("It dropped %(count)s keys because it was full. Nothing is lost; give it more memory.")
        return Finding(WARNING, told, words % {"count": told["evicted_keys"]})
    return Finding(OK, told)


def queues() -> Finding:
    """How much waits in each queue, and for how long (S1-27, S1-28, S1-34)."""
    rows, waiting, now = list(Queue.objects.order_by("slug")), backlogs("queue"), database_now()
    found = {row.slug: waiting.get(row.pk, (0, None)) for row in rows}
    ages = {
        slug: max(round((now - since).total_seconds()), 0) if since else 0 for slug, (_count, since) in found.items()
    }
    sizes = {slug: count for slug, (count, _since) in found.items()}
    paused = [row.slug for row in rows if row.status == Queue.Status.PAUSED]
    told = {"total": sum(sizes.values()), "sizes": sizes, "oldest_seconds": ages, "paused": paused}
    held = [
        row.slug
        for row in rows
        if row.slug not in paused and (sizes[row.slug] > row.most_waiting or ages[row.slug] > row.longest_wait_seconds)
    ]
    if not held:
        return Finding(OK, told)
    words = _(
        "More wait than the limits of the queue allow, or one waits for longer: %(names)s. See whether workers run and the service answers."
    )
    return Finding(WARNING, told, words % {"names": ", ".join(held)})


def beat() -> Finding:
    """Whether everything that must run at intervals does: silent for three of them is dead (R21, D13)."""
    now, rows = database_now(), list(Heartbeat.objects.all())
    told = {
        "ages_seconds": {row.name: round((now - row.beat_at).total_seconds(), 1) for row in rows},
        "silent": [row.name for row in rows if row.silent_at(now)],
    }
    if not rows:
        return Finding(ERROR, told, _("It has never ticked: start beat and a worker for the queue ticks."))
    if told["silent"]:
        words = _("Silent for three intervals: %(names)s. See that beat and the workers run.")
        return Finding(ERROR, told, words % {"names": ", ".join(told["silent"])})
    return Finding(OK, told)


def workers() -> Finding:
    """Which processes live, by what they do, and which fell silent (S1-73, S1-77)."""
    now, rows = database_now(), list(Process.objects.all())
    live = [row for row in rows if not row.silent_at(now)]
    carrying = [row for row in live if row.kind == Process.Kind.WORKER]
    silent = [str(row) for row in rows if row.silent_at(now)]
    told = {
        "by_kind": {kind: sum(row.kind == kind for row in live) for kind in Process.Kind.values},
        "workers": [str(row) for row in carrying],
        "concurrency": sum(row.concurrency or 0 for row in carrying),
        "silent": silent,
    }
    if not carrying:
        words = _("No worker lives: nothing is sent. Start one: celery -A opsconsole worker --queues drains")
        return Finding(ERROR, told, words)
    lately = [str(row) for row in rows if row.silent_at(now) and now - row.beat_at < NEWS]
    if lately:
        words = _("Silent: %(names)s. See whether they hang; what starts them again should have noticed.")
        return Finding(WARNING, told, words % {"names": ", ".join(lately)})
    return Finding(OK, told)


def jobs() -> Finding:
    """Whether every slot becomes a run, and every run is begun (R16)."""
    late = lateness()
    told = {"slots_late": late.slots, "runs_late": late.runs, "missed": late.missed}
    if late.slots:
        words = _("%(slots_late)s jobs are due and nothing starts them. See that beat and the worker for ticks run.")
        return Finding(ERROR, told, words % told)
    if late.runs:
        words = _("%(runs_late)s runs wait longer than their jobs allow. See that workers run; start more of them.")
        return Finding(WARNING, told, words % told)
    return Finding(OK, told)


def connections() -> Finding:
    """The connections of the database by their state (S4-33), of all that it takes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(state, 'background'), count(*) FROM pg_stat_activity WHERE datname = current_database() GROUP BY 1"
        )
        states = dict.fromkeys(PARTS, 0) | dict(cursor.fetchall())
        cursor.execute(
            "SELECT current_setting('max_connections')::int, (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"
        )
        most, used = cursor.fetchone()
    told = {"by_state": states, "used": used, "most": most}
    if used < most * CONNECTIONS_HIGH / 100:
        return Finding(OK, told)
    words = _("%(used)s of %(most)s connections are taken. Look for idle ones, or put a pooler before the database.")
    return Finding(WARNING, told, words % told)


def disk() -> Finding:
    """How much room the data folder has (S4-34)."""
    folder = next(
        place for place in (settings.DATA_DIR, *Path(settings.DATA_DIR).absolute().parents) if Path(place).exists()
    )
    usage = psutil.disk_usage(str(folder))
    free = 100 - usage.percent
    told = {"free_bytes": usage.free, "total_bytes": usage.total, "free_percent": round(free, 1)}
    if free >= DISK_LOW:
        return Finding(OK, told)
    words = _("%(free)s %% of the disk of the data folder is free. Remove what is not needed, or give it more.")
    return Finding(ERROR if free < DISK_FULL else WARNING, told, words % {"free": round(free, 1)})


def memory() -> Finding:
    """How much memory and processor the machine of this web process has left (S4-32)."""
    found, load = psutil.virtual_memory(), os.getloadavg()[0]
    told = {
        "used_percent": found.percent,
        "available_bytes": found.available,
        "total_bytes": found.total,
        "load": round(load, 2),
        "processors": os.cpu_count(),
    }
    if found.percent < MEMORY_HIGH:
        return Finding(OK, told)
    words = _("%(used)s %% of the memory is taken. See which process grows, or give the machine more.")
    return Finding(WARNING, told, words % {"used": found.percent})


def _broker() -> "redis.Redis":
    limits = {"socket_timeout": DEADLINE_SECONDS, "socket_connect_timeout": DEADLINE_SECONDS}
    return redis.Redis.from_url(settings.REDIS_URL, **limits)


CHECKS: dict[str, Check] = {
    "database": Check(gettext_lazy("Database"), database, ("latency_ms",)),
    "redis": Check(gettext_lazy("Broker"), broker, ("latency_ms",)),
    "queues": Check(gettext_lazy("Queues"), queues, ("total", "sizes")),
    "beat": Check(gettext_lazy("Beat"), beat, ("ages_seconds", "silent")),
    "workers": Check(gettext_lazy("Workers"), workers, ("by_kind", "workers", "silent")),
    "jobs": Check(gettext_lazy("Jobs"), jobs, ("slots_late", "runs_late", "missed")),
    "connections": Check(gettext_lazy("Database connections"), connections, ("by_state", "used", "most")),
    "broker": Check(gettext_lazy("Broker memory"), broker_memory, ("maxmemory_policy", "evicted_keys")),
    "disk": Check(gettext_lazy("Disk"), disk, ("free_bytes",)),
    "memory": Check(gettext_lazy("Machine"), memory, ("used_percent",)),
}
"""Everything that is looked at, under the names of `/health/detailed`."""
