"""What workers do for action runs. Every task begins by taking rows: a lost or doubled message changes nothing."""

import logging
import mmap
import threading
import time
from functools import partial
from typing import Any

from celery import Task, shared_task
from celery.signals import worker_shutting_down
from django.db import transaction
from django.utils.module_loading import import_string

from apps.actions import pacing, running
from apps.actions.models import ActionRun

log = logging.getLogger(__name__)

QUIET_SECONDS = 5.0
"""So long a process sends nothing after the broker failed it: nobody waits for a dead broker twice."""

TOGETHER_SECONDS = 0.2
"""What many requests bring within so long is worth one wake-up: to send one costs a request's time again."""

_quiet_until = 0.0

# A page that the worker's pool shares with its parent: only the parent hears that it shall stop.
_stopping = mmap.mmap(-1, 1)


@worker_shutting_down.connect
def note_stop(**_signal: object) -> None:
    """Let what is under way begin nothing more."""
    _stopping[0] = 1


def stopping() -> bool:
    """Say whether this worker was told to stop."""
    return bool(_stopping[0])


@shared_task
def advance() -> None:
    """Take up the runs that wait, each for one turn."""
    if pacing.take_turn() is not None and pacing.waiting().exists():
        wake(advance)


@shared_task
def sweep() -> None:
    """Score the runs that are watched; a worker other than the tick's takes up those that wait."""
    pacing.watch()
    if pacing.waiting().exists():
        wake(advance)


def wake_after(record: ActionRun) -> None:
    """Wake whoever goes on with a run: the one that releases it, or the noun's own worker where its rows have moved."""
    if record.status == ActionRun.Status.QUEUED:
        transaction.on_commit(partial(wake, advance))
    elif record.moved and (path := running.model_of(record.kind).wakes):
        transaction.on_commit(partial(wake, import_string(path)))


class _Together:
    """The wake-ups that were sent a moment ago, and those that are about to be: by their task and its words."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sent: dict[tuple[str, ...], float] = {}
        self.planned: set[tuple[str, ...]] = set()

    def wake(self, task: "Task[Any, Any]", *args: str) -> None:
        """Send at once what was not sent lately; else plan one for all who come meanwhile."""
        key, now = (task.name, *args), time.monotonic()
        with self.lock:
            if key in self.planned:
                return
            rest = self.sent.get(key, 0.0) + TOGETHER_SECONDS - now
            if rest > 0:
                self.planned.add(key)
            else:
                self.sent[key] = now
        if rest > 0:
            threading.Timer(rest, self._send, (key, task, args)).start()
        else:
            wake(task, *args)

    def _send(self, key: tuple[str, ...], task: "Task[Any, Any]", args: tuple[str, ...]) -> None:
        with self.lock:  # whoever commits from here on plans another
            self.planned.discard(key)
            self.sent[key] = time.monotonic()
        wake(task, *args)


_together = _Together()


def wake_once(task: "Task[Any, Any]", *args: str) -> None:
    """Send a wake-up for what a request brought in, one for all that came within `TOGETHER_SECONDS`; as `wake` does."""
    _together.wake(task, *args)


def wake(task: "Task[Any, Any]", *args: str) -> None:
    """Send a wake-up, as a courtesy: what it speaks of is committed, and the sweep finds it without any message.

    Call it after the commit (`transaction.on_commit`). It never raises.
    """
    global _quiet_until
    if time.monotonic() < _quiet_until:
        return
    try:
        task.apply_async(args)
    except Exception as error:  # away, silent, out of memory, read-only: no request fails for it
        _quiet_until = time.monotonic() + QUIET_SECONDS
        log.warning("The broker does not take wake-ups; the sweep finds the work: %s", error)
