"""`/metrics` for Prometheus: what rows say, read at the moment of asking, and what processes counted (apps/actions/meters.py).

Labels are few by their nature: names that staff gave to queues, services and jobs, states, and routes. Ids and phones never.
A part that cannot be read is left out, and `opsconsole_readable` says so.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from django.conf import settings
from django.db.models import Count
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from apps.actions import meters
from apps.actions.models import ActionRun
from apps.actions.running import database_now
from apps.deadletters.models import DeadLetter
from apps.integrations import counting
from apps.integrations.models import CircuitBreaker, Endpoint, EventSource, Service
from apps.jobs import stats as job_stats
from apps.jobs.backlog import backlogs
from apps.jobs.models import Heartbeat, Job, JobRun, Queue, Tenant
from apps.operations.backlog import counts, retry_queue
from opsconsole import VERSION, vitals

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
DOCUMENTED = {
    "responses": {
        200: {
            "description": "The text format of Prometheus.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    }
}


def exposition() -> bytes:
    """Return everything, as Prometheus reads it."""
    families, answers = health(vitals.picture()), vitals.at_once(PARTS)
    readable = gauge("readable", "Whether a part of this page could be read.", ["part"])
    registry = CollectorRegistry(auto_describe=False)
    for name, answer in answers.items():
        failed = isinstance(answer, Exception)
        readable.add_metric([name], not failed)
        families += [] if failed else answer
    registry.register(Families([readable, *families]))
    return generate_latest(registry)


class Families(Collector):
    """Metrics that are read already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self.families = list(families)

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        yield from self.families


def gauge(name: str, help: str, labels: Iterable[str] = ()) -> GaugeMetricFamily:
    """Return a number of ours that rises and falls."""
    return GaugeMetricFamily(f"opsconsole_{name}", help, labels=list(labels))


def filled(family: Any, samples: Mapping[Any, float | None]) -> Any:
    """Return a metric with its samples by their labels; what is not known is left out."""
    for label, value in samples.items():
        if value is not None:
            family.add_metric([label] if isinstance(label, str) else list(label), value)
    return family


def single(name: str, help: str, value: float | None) -> GaugeMetricFamily:
    """Return a number without labels."""
    found: GaugeMetricFamily = filled(gauge(name, help), {(): value})
    return found


def age(moment: dt.datetime | None, now: dt.datetime) -> float:
    """Return how many seconds ago a moment was; nothing waits for none, and none is to come."""
    return max((now - moment).total_seconds(), 0) if moment else 0


# The parts


def about() -> list[Metric]:
    """Which version answers, and where."""
    told = InfoMetricFamily("opsconsole", "The version and the environment of this console.")
    told.add_metric([], {"version": VERSION, "environment": settings.ENVIRONMENT})
    return [told]


def health(picture: vitals.Picture) -> list[Metric]:
    """The checks of `/health/detailed`, in numbers."""
    told = {name: found.told for name, found in picture.checks.items()}
    states = {(name, word): found.status == word for name, found in picture.checks.items() for word in WORDS}
    return [
        filled(
            gauge("check", "How a check of the health page stands: 1 at its present state.", ["check", "state"]), states
        ),
        single(
            "database_latency_seconds",
            "How long the database takes to answer.",
            _thousandth(told["database"].get("latency_ms")),
        ),
        single(
            "database_clock_ahead_seconds",
            "How far the database's clock is ahead of the web's.",
            told["database"].get("clock_ahead_seconds"),
        ),
        single(
            "broker_latency_seconds",
            "How long the broker takes to answer.",
            _thousandth(told["redis"].get("latency_ms")),
        ),
        single("broker_memory_bytes", "Memory that the broker uses.", told["broker"].get("used_bytes")),
        filled(
            CounterMetricFamily(
                "opsconsole_broker_evicted_keys", "Keys that the broker dropped because it was full.", labels=[]
            ),
            {(): told["broker"].get("evicted_keys")},
        ),
        filled(
            gauge("database_connections", "Connections of the database by state.", ["state"]),
            told["connections"].get("by_state") or {},
        ),
        single("database_connections_limit", "Connections that the database takes.", told["connections"].get("most")),
        filled(
            gauge("processes", "Processes of ours that live, by what they do.", ["kind"]),
            told["workers"].get("by_kind") or {},
        ),
        single("disk_free_bytes", "Room on the disk of the data folder.", told["disk"].get("free_bytes")),
        single("disk_size_bytes", "Size of the disk of the data folder.", told["disk"].get("total_bytes")),
        single(
            "memory_available_bytes",
            "Memory that is left on the machine of the web process.",
            told["memory"].get("available_bytes"),
        ),
        single("memory_size_bytes", "Memory of the machine of the web process.", told["memory"].get("total_bytes")),
    ]


def work() -> list[Metric]:
    """Operations and events by state, the retry queue and dead letters, out of tallies and short indexes."""
    now, letters = database_now(), DeadLetter.objects.filter(status__in=WAITING)
    total, ready, oldest = retry_queue()
    return [
        filled(gauge("operations", "Operations by state, archived ones left out.", ["status"]), counts()),
        filled(
            gauge("retry_queue", "Operations that wait for a further attempt.", ["state"]),
            {"total": total, "ready": ready},
        ),
        single("retry_queue_oldest_seconds", "How long the oldest of the retry queue has been due.", age(oldest, now)),
        single("events_waiting", "Events that are not processed yet.", counting.waiting()),
        filled(
            gauge("dead_letters", "Work given up on that waits for a person, by its kind.", ["kind", "status"]),
            _grouped(letters, "source_kind", "status"),
        ),
        filled(
            gauge("action_runs", "Runs of verbs that are not over.", ["status"]),
            _grouped(ActionRun.objects.filter(status__in=UNDER_WAY), "status"),
        ),
    ]


def lanes() -> list[Metric]:
    """Queues: how much waits, how long, and what is held."""
    now, rows, waiting = database_now(), list(Queue.objects.all()), backlogs("queue")
    found = {row.slug: waiting.get(row.pk, (0, None)) for row in rows}
    return [
        filled(
            gauge("queue_depth", "Work that waits in a queue.", ["queue"]),
            {slug: count for slug, (count, _since) in found.items()},
        ),
        filled(
            gauge("queue_oldest_seconds", "How long the oldest work of a queue has been due.", ["queue"]),
            {slug: age(since, now) for slug, (_count, since) in found.items()},
        ),
        filled(
            gauge("paused", "What people hold, by its kind.", ["kind"]),
            {
                str(model._meta.model_name): model._default_manager.filter(status="paused").count()
                for model in (Queue, Tenant, Job, Service, Endpoint, EventSource)
            },
        ),
    ]


def breakers() -> list[Metric]:
    """Circuit breakers by state, and what waits behind each service."""
    services, waiting = list(Service.objects.select_related("breaker")), backlogs("service")
    states = {
        (service.slug, state): getattr(getattr(service, "breaker", None), "status", "closed") == state
        for service in services
        for state in CircuitBreaker.Status.values
    }
    return [
        filled(
            gauge("breaker", "The circuit breaker of a service: 1 at its present state.", ["service", "state"]), states
        ),
        filled(
            gauge("service_waiting", "Work that waits for a service.", ["service"]),
            {service.slug: waiting.get(service.pk, (0, None))[0] for service in services},
        ),
    ]


def runs() -> list[Metric]:
    """Runs of jobs in the last 24 hours, how the last of each went, and what is late."""
    since, jobs = database_now() - dt.timedelta(days=1), {job.pk: job.slug for job in Job.objects.all()}
    newest, late = job_stats.newest_runs(list(jobs)), job_stats.lateness()
    return [
        filled(
            gauge("job_runs", "Runs of a job in the last 24 hours, by their state.", ["job", "status"]),
            job_stats.outcomes_since(since),
        ),
        filled(
            gauge("job_last_failed", "1 where the last run of a job failed.", ["job"]),
            {jobs[key]: run.status == JobRun.Status.FAILED for key, run in newest.items()},
        ),
        filled(
            gauge("job_last_duration_seconds", "How long the last run of a job took.", ["job"]),
            {jobs[key]: run.duration and run.duration.total_seconds() for key, run in newest.items()},
        ),
        filled(
            gauge("jobs_late", "Slots that nothing opened, runs that nobody began, slots missed in a day.", ["what"]),
            {"slots": late.slots, "runs": late.runs, "missed": late.missed},
        ),
    ]


def heartbeats() -> list[Metric]:
    """When what must run at intervals last did (R21)."""
    now, rows = database_now(), list(Heartbeat.objects.all())
    return [
        filled(
            gauge("heartbeat_age_seconds", "How long ago something that must run at intervals last did.", ["name"]),
            {row.name: (now - row.beat_at).total_seconds() for row in rows},
        ),
        filled(
            gauge("heartbeat_silent", "1 where something missed three of its intervals.", ["name"]),
            {row.name: row.silent_at(now) for row in rows},
        ),
    ]


def _thousandth(value: float | None) -> float | None:
    return None if value is None else value / 1000


def _grouped(rows: Any, *columns: str) -> dict[tuple[str, ...], float]:
    """Count rows by their columns."""
    found = rows.order_by().values_list(*columns).annotate(count=Count("pk"))
    return {tuple(str(value) for value in key): count for *key, count in found}


WORDS = (vitals.OK, vitals.WARNING, vitals.ERROR)
WAITING = (DeadLetter.Status.UNRESOLVED, DeadLetter.Status.RETRYING)
UNDER_WAY = (*ActionRun.OPEN, ActionRun.Status.WATCHING)
PARTS: dict[str, Callable[[], list[Metric]]] = {
    "about": about,
    "work": work,
    "queues": lanes,
    "breakers": breakers,
    "jobs": runs,
    "heartbeats": heartbeats,
    "counted": meters.counted,
}
"""Everything that is told, each read apart from the others."""
