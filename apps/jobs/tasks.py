"""The tick: beat's only message. Any number may run; one that finds the last younger than its interval ends at once."""

import datetime as dt
import logging

from celery import shared_task
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from apps.actions.running import step
from apps.actions.tasks import stopping, wake
from apps.jobs import execution, scheduling
from apps.jobs.catalogue import SWEEPS, TICK_SECONDS
from apps.jobs.models import Heartbeat, Job, Queue, RetentionPolicy, Tenant
from apps.jobs.restoring import hold_if_restored

log = logging.getLogger(__name__)

TURN_SECONDS = 20.0
"""So long a worker takes up new runs, then its message is over; a run that it has begun it carries on."""
AT_ONCE = 8
"""So many turns the sweep asks for where runs wait."""


@shared_task
def tick() -> None:
    """Run every app's sweep. One that fails does not keep the others from running."""
    # Before our own sign of life: how old the last one is says when the backup was made.
    if hold_if_restored() or not _take_turn():
        return
    for path in SWEEPS:
        try:
            import_string(path)()
        except Exception:
            log.exception("The sweep %s failed; the next tick tries again.", path)


def _take_turn() -> bool:
    """Take this tick's turn: of an hour's pile of messages, one in each interval does the work."""
    _row, made = Heartbeat.objects.get_or_create(name="tick", defaults={"interval_seconds": TICK_SECONDS})
    stale = Now() - dt.timedelta(seconds=TICK_SECONDS / 2)
    return made or bool(Heartbeat.objects.filter(name="tick", beat_at__lte=stale).update(beat_at=Now()))


@shared_task
def work_off() -> None:
    """Carry out runs that are due, for one turn. One that finds none costs one look."""
    if execution.work_off(TURN_SECONDS, stopping) and execution.claimable().exists():
        wake(work_off)


def sweep() -> None:
    """End the pauses that are over, let slots become runs, and find what no message speaks of."""
    for model in (Queue, Tenant, Job):
        step(model.resume, model.objects.filter(paused_until__lte=Now()))
    step(RetentionPolicy.release, RetentionPolicy.objects.filter(held_until__lte=Now()))
    scheduling.open_slots()
    execution.rescue_lapsed()
    for _run in execution.claimable()[:AT_ONCE]:
        wake(work_off)
