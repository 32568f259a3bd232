"""`/status` and `/dashboard` as runbook 1 reads them (S1-18, S1-20 to S1-25). What nothing here keeps yet is null.

Each number is looked up once, in a few queries over indexes and tallies. "Today" begins at midnight of the staff's zone,
on the database's clock.
"""

import datetime as dt
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest
from ninja import Router, Schema

from apps.actions.actors import Actor
from apps.actions.api import actor_of
from apps.actions.permissions import require_view
from apps.actions.running import database_now
from apps.actions.verbs import Acted
from apps.deadletters.models import DeadLetter
from apps.deadletters.stats import stats
from apps.integrations import counting
from apps.integrations.api import breakers_now
from apps.integrations.models import CircuitBreaker, IntegrationEvent, Service
from apps.integrations.names import services_by_name
from apps.integrations.schemas import BreakerNow
from apps.integrations.traffic import calls_in
from apps.jobs import stats as job_stats
from apps.jobs.models import Job, JobRun
from apps.operations.backlog import retry_queue
from apps.operations.ended import deliveries
from apps.operations.models import PendingOperation
from opsconsole.home import Situation, broker_answers

WHATSAPP = "whatsapp"
LATELY = dt.timedelta(minutes=5)
HEALTH = {"completed": "healthy", "warning": "degraded", "failed": "critical"}
"""The home page's headline, in the dashboard's words."""

Found = TypeVar("Found")
router = Router(tags=["overview"])


class App(Schema):
    """Who answers."""

    name: str
    env: str


class Whatsapp(Schema):
    """Whether WhatsApp is connected, as breaker, calls and probe have it; null where nobody has asked yet."""

    connected: bool | None
    status: str
    checked_at: dt.datetime | None


class EventsOfStatus(Schema):
    """Events: those that wait, and today's."""

    pending: int | None
    today_processed: int | None
    today_failed: int | None


class RetryQueue(Schema):
    """Work that was tried and waits for a further attempt; `ready` is due now."""

    total: int
    ready: int


class DeadLettersOfStatus(Schema):
    """Unresolved and retrying dead letters."""

    total: int
    last_24h: int
    last_7d: int
    by_type: dict[str, int]


class SyncJob(Schema):
    """A sync: how its last run went, and when the next one is due."""

    slug: str
    last_status: str | None
    last_run: dt.datetime | None
    next_run: dt.datetime | None


class SyncJobs(Schema):
    """The sync jobs of today; null where they may not be seen."""

    queued: int | None
    running: int | None
    completed_today: int | None
    failed_today: int | None
    jobs: list[SyncJob] | None


class SyncOfDashboard(Schema):
    """A sync: its last run, and how often it failed in the last 24 hours."""

    last_run: dt.datetime | None
    last_status: str | None
    recent_failures: int
    duration_seconds: float | None


class Status(Schema):
    """How things stand, as the morning check reads it."""

    app: App
    timestamp: dt.datetime
    events: EventsOfStatus
    retry_queue: RetryQueue | None
    dead_letter: DeadLettersOfStatus | None
    sync_jobs: SyncJobs
    whatsapp: Whatsapp | None
    circuit_breakers: dict[str, BreakerNow] | None


class Health(Schema):
    """The home page's headline in a word; alerts are counted once there are any."""

    status: str
    critical_alerts: int | None
    warning_alerts: int | None


class Dependencies(Schema):
    """What we stand on: up, down, or null where it is not known."""

    database: str
    redis: str
    whatsapp: str | None


class Share(Schema):
    """A part of the day's events, with how much of what is settled failed."""

    total: int
    processed: int
    failed: int
    error_rate: float | None


class EventsToday(Schema):
    """Today's events."""

    total: int | None
    processed: int | None
    failed: int | None


class Events(Schema):
    """Events: those that wait, today's, and today's by type and by source."""

    pending: int | None
    today: EventsToday
    by_type: dict[str, Share] | None
    by_source: dict[str, Share] | None
    success_rate: float | None
    error_rate: float | None


class RetryQueueSince(RetryQueue):
    """The retry queue, and when the oldest of it fell due."""

    oldest: dt.datetime | None


class DeadLetters(Schema):
    """Unresolved and retrying dead letters, and those of today among them."""

    total: int
    today: int
    by_event_type: dict[str, int]


class Queues(Schema):
    """What waits for a further attempt, and what for a person."""

    retry_queue: RetryQueueSince | None
    dead_letter: DeadLetters | None


class Sent(Schema):
    """Deliveries that reached their service today, and those that were given up today and wait for a person."""

    total: int
    sent: int
    failed: int
    error_rate: float | None


class Deliveries(Schema):
    """Today's deliveries, in all and by service."""

    today: Sent
    by_endpoint: dict[str, Sent]


class Dashboard(Schema):
    """The whole picture."""

    timestamp: dt.datetime
    health: Health
    dependencies: Dependencies
    events: Events
    queues: Queues
    deliveries: Deliveries | None
    sync: dict[str, SyncOfDashboard] | None
    circuit_breakers: dict[str, BreakerNow] | None
    alerts: list[dict[str, Any]] | None


class Overview:
    """How things stand at this moment for one who asks, each thing looked up at most once."""

    def __init__(self, request: HttpRequest, actor: Actor) -> None:
        require_view(actor, PendingOperation)
        self.request, self.actor = request, actor
        self.asked_at = database_now()

    @cached_property
    def midnight(self) -> dt.datetime:
        """When today began."""
        here = self.asked_at.astimezone(ZoneInfo(settings.OPS_TIME_ZONE))
        return here.replace(hour=0, minute=0, second=0, microsecond=0)

    def seen(self, noun: type[Acted], look: Callable[[], Found]) -> Found | None:
        """Return what a look finds; None where the actor may not see the noun."""
        options = noun._meta
        return look() if self.actor.may(f"{options.app_label}.view_{options.model_name}") else None

    @cached_property
    def services(self) -> dict[str, Service]:
        """The services by every name they have."""
        return services_by_name()

    @cached_property
    def breakers(self) -> dict[str, BreakerNow] | None:
        """The circuit breakers by every name of their service."""
        return self.seen(CircuitBreaker, breakers_now)

    @cached_property
    def whatsapp(self) -> Whatsapp | None:
        """The state of WhatsApp; None only where there is no such service, or it may not be seen."""
        service = self.services.get(WHATSAPP)
        return self.seen(Service, lambda: connection_of(service, self.asked_at)) if service else None

    @cached_property
    def retried_operations(self) -> RetryQueueSince:
        """The operations that wait for a further attempt."""
        total, ready, oldest = retry_queue()
        return RetryQueueSince(total=total, ready=ready, oldest=oldest)

    @cached_property
    def retried_events(self) -> RetryQueueSince | None:
        """The events that wait for a further attempt."""
        found = self.seen(IntegrationEvent, counting.to_be_tried_again)
        return RetryQueueSince(total=found[0], ready=found[1], oldest=found[2]) if found else None

    @cached_property
    def retry_queue(self) -> RetryQueueSince:
        """What waits for a further attempt, of every kind."""
        kinds = [kind for kind in (self.retried_operations, self.retried_events) if kind]
        return RetryQueueSince(
            total=sum(kind.total for kind in kinds),
            ready=sum(kind.ready for kind in kinds),
            oldest=min((kind.oldest for kind in kinds if kind.oldest), default=None),
        )

    @cached_property
    def waiting_events(self) -> int | None:
        """How many events are not processed yet."""
        return self.seen(IntegrationEvent, counting.waiting)

    @cached_property
    def day(self) -> counting.Day | None:
        """Today's events."""
        return self.seen(IntegrationEvent, lambda: counting.day_since(self.midnight))

    @property
    def events(self) -> Events:
        """The events, as the dashboard tells them."""
        if self.day is None:
            blank = EventsToday(total=None, processed=None, failed=None)
            return Events(pending=None, today=blank, by_type=None, by_source=None, success_rate=None, error_rate=None)
        whole = self.day.whole
        return Events(
            pending=self.waiting_events,
            today=EventsToday(total=whole.total, processed=whole.processed, failed=whole.failed),
            by_type={name: share(part) for name, part in self.day.by_type.items()},
            by_source={name: share(part) for name, part in self.day.by_source.items()},
            success_rate=rate(whole.processed, whole.processed + whole.failed),
            error_rate=error_rate(whole),
        )

    @cached_property
    def letters(self) -> dict[str, Any] | None:
        """What waits for a person."""
        return self.seen(DeadLetter, lambda: stats(self.midnight))

    @cached_property
    def deliveries(self) -> Deliveries:
        """What reached its service today, and what did not."""
        found = deliveries(self.midnight)
        slugs = {service.pk: service.slug for service in self.services.values()}
        parts = {slugs[key]: sent(**counts) for key, counts in found.items()}
        whole = {word: sum(counts[word] for counts in found.values()) for word in ("sent", "failed")}
        return Deliveries(today=sent(**whole), by_endpoint=dict(sorted(parts.items())))

    @cached_property
    def syncs(self) -> list[tuple[Job, JobRun | None]]:
        """The sync jobs, each with its newest run."""
        jobs = job_stats.sync_jobs()
        newest = job_stats.newest_runs([job.pk for job in jobs])
        return [(job, newest.get(job.pk)) for job in jobs]

    @property
    def sync_jobs(self) -> SyncJobs:
        """The syncs as `/status` tells them (S1-23)."""
        found = self.seen(JobRun, lambda: job_stats.day_of([job for job, _run in self.syncs], self.midnight))
        if found is None:
            return SyncJobs(queued=None, running=None, completed_today=None, failed_today=None, jobs=None)
        return SyncJobs(
            queued=found.queued,
            running=found.running,
            completed_today=found.completed,
            failed_today=found.failed,
            jobs=[_told_sync(job, run) for job, run in self.syncs],
        )

    @property
    def sync(self) -> dict[str, SyncOfDashboard] | None:
        """The syncs as `/dashboard` tells them."""
        if self.seen(JobRun, lambda: True) is None:
            return None
        failures = job_stats.failures_since([job for job, _run in self.syncs], self.asked_at - dt.timedelta(days=1))
        return {
            job.slug: SyncOfDashboard(
                last_run=run.created_at if run else None,
                last_status=run.status if run else None,
                recent_failures=failures.get(job.pk, 0),
                duration_seconds=run.duration.total_seconds() if run and run.duration else None,
            )
            for job, run in self.syncs
        }

    @cached_property
    def health(self) -> str:
        """The home page's headline in a word."""
        return HEALTH[Situation(self.request).headline["state"]]

    @cached_property
    def dependencies(self) -> Dependencies:
        """What we stand on; the database answers, or nobody would read this."""
        connected = self.whatsapp.connected if self.whatsapp else None
        return Dependencies(
            database="up", redis=up(broker_answers()), whatsapp=None if connected is None else up(connected)
        )


def _told_sync(job: Job, run: JobRun | None) -> SyncJob:
    active = job.status == Job.Status.ACTIVE
    return SyncJob(
        slug=job.slug,
        last_status=run.status if run else None,
        last_run=run.created_at if run else None,
        next_run=job.next_at if active else None,
    )


def connection_of(service: Service, now: dt.datetime) -> Whatsapp:
    """Say whether a service is connected: an open breaker speaks against it, a call that it answered lately for it.

    Where neither speaks, the last probe is believed, and where nobody ever probed it, nobody knows.
    """
    breaker = getattr(service, "breaker", None)
    [lately] = calls_in(service.pk, [(now - LATELY, now)])
    connected, checked_at = service.probe_ok, service.probed_at
    if breaker is not None and breaker.status != CircuitBreaker.Status.CLOSED:
        connected, checked_at = False, now
    elif lately.made > lately.failed:
        connected, checked_at = True, now
    word = {True: "connected", False: "disconnected", None: "unknown"}[connected]
    paused = service.status == Service.Status.PAUSED
    return Whatsapp(connected=connected, status="paused" if paused else word, checked_at=checked_at)


def sent(sent: int, failed: int) -> Sent:
    """Return deliveries with their error rate."""
    return Sent(total=sent + failed, sent=sent, failed=failed, error_rate=rate(failed, sent + failed))


def share(part: counting.Part) -> Share:
    """Return a part of the events with its error rate."""
    return Share(total=part.total, processed=part.processed, failed=part.failed, error_rate=error_rate(part))


def error_rate(part: counting.Part) -> float | None:
    """Return how much of what is settled failed."""
    return rate(part.failed, part.processed + part.failed)


def rate(part: int, whole: int) -> float | None:
    """Return a share in percent; of nothing there is none."""
    return round(100 * part / whole, 2) if whole else None


def up(answers: bool) -> str:
    """Return the word of the health calls."""
    return "up" if answers else "down"


@router.get("/status", response=Status, summary="Show how things stand")
def status(request: HttpRequest) -> Any:
    """The morning check's numbers. What nothing here keeps yet is null."""
    now = Overview(request, actor_of(request))
    return {
        "app": {"name": "opsconsole", "env": settings.ENVIRONMENT},
        "timestamp": now.asked_at,
        "events": {
            "pending": now.waiting_events,
            "today_processed": now.day and now.day.whole.processed,
            "today_failed": now.day and now.day.whole.failed,
        },
        "retry_queue": now.retry_queue,
        "dead_letter": now.letters,
        "sync_jobs": now.sync_jobs,
        "whatsapp": now.whatsapp,
        "circuit_breakers": now.breakers,
    }


@router.get("/dashboard", response=Dashboard, summary="Show the whole picture")
def dashboard(request: HttpRequest) -> Any:
    """The day in numbers: health, events, queues, deliveries, breakers."""
    now = Overview(request, actor_of(request))
    letters = now.letters
    return {
        "timestamp": now.asked_at,
        "health": {"status": now.health, "critical_alerts": None, "warning_alerts": None},
        "dependencies": now.dependencies,
        "events": now.events,
        "queues": {
            "retry_queue": now.retry_queue,
            "dead_letter": letters and {**letters, "by_event_type": letters["by_type"]},
        },
        "deliveries": now.deliveries,
        "sync": now.sync,
        "circuit_breakers": now.breakers,
        "alerts": None,
    }
