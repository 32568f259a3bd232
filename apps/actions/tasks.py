"""What workers do for action runs. Every task begins by taking rows: a lost or doubled message changes nothing."""

import logging
from typing import Any

from celery import Task, shared_task
from celery.exceptions import OperationalError

from apps.actions import pacing

logger = logging.getLogger(__name__)


@shared_task
def advance() -> None:
    """Take up the runs that wait, each for one turn."""
    if pacing.take_turn() is not None and pacing.waiting().exists():
        advance.delay()


@shared_task
def sweep() -> None:
    """Score the runs that are watched, and take up those that wait."""
    pacing.watch()
    advance()


def wake(task: "Task[Any, Any]", *args: str) -> None:
    """Send a wake-up, as a courtesy: what it speaks of is committed, and the sweep finds it without any message."""
    try:
        task.apply_async(args)
    except OperationalError as error:
        logger.warning("No wake-up could be sent, the sweep will find the work: %s", error)
