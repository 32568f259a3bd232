"""The tick: beat's only message. Any number may run; one that finds the last younger than its interval ends at once."""

import datetime as dt
import logging

from celery import shared_task
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from apps.actions.running import step
from apps.jobs.catalogue import SWEEPS, TICK_SECONDS
from apps.jobs.models import Heartbeat, Queue, Tenant
from apps.jobs.restoring import hold_if_restored

log = logging.getLogger(__name__)


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


def resume_lapsed() -> None:
    """Resume, as the system, what was paused until a moment that has passed."""
    for model in (Queue, Tenant):
        step(model.resume, model.objects.filter(paused_until__lte=Now()))
