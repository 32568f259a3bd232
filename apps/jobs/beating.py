"""Signs of life: every process of ours gives one every few seconds, from a thread and on a connection of its own."""

import atexit
import datetime as dt
import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Q
from django.db.models.functions import Now

from apps.actions.leases import this_worker
from apps.jobs.fingerprints import held
from apps.jobs.models.process import BEAT_SECONDS, SILENT_AFTER, Process

log = logging.getLogger(__name__)

LEAVE_SECONDS = 2.0
"""So long an ending process waits for its row to go; left behind, the row says silent and is swept."""
FORGOTTEN_AFTER = dt.timedelta(days=1)


@dataclass(frozen=True)
class Pool:
    """A worker's pool at this moment: the ids of its processes."""

    pids: Sequence[int] = ()

    @property
    def names(self) -> list[str]:
        """The names under which its processes hold leases."""
        host = this_worker().rpartition(":")[0]
        return [f"{host}:{pid}" for pid in self.pids]


class Beating:
    """A process's signs of life. Nothing that goes wrong with them reaches the process itself."""

    def __init__(self, me: Process, pool: Callable[[], Pool] | None = None) -> None:
        self.me, self.pool, self.pid = me, pool, os.getpid()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, name="signs-of-life", daemon=True)

    def start(self) -> None:
        """Begin, and end with the process: in order, where it ends in order."""
        self.thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Take the row away. A process that was forked from this one leaves it alone."""
        if os.getpid() == self.pid:
            self.stopped.set()
            self.thread.join(LEAVE_SECONDS)

    def _run(self) -> None:
        self._try(self._beat)
        while not self.stopped.wait(BEAT_SECONDS):
            self._try(self._beat)
        self._try(self._leave)
        connection.close()

    def _try(self, what: Callable[[], None]) -> None:
        try:
            what()
        except (DatabaseError, InterfaceError) as error:
            log.warning("No sign of life could be given (%s); the next one follows.", error)
            connection.close()

    def _beat(self) -> None:
        if self.pool:
            names = self.pool().names
            self.me.holders, self.me.concurrency = [self.me.name, *names], len(names)
        beat(self.me)

    def _leave(self) -> None:
        Process.objects.filter(pk=self.me.pk).delete()


def begin(
    kind: Process.Kind, version: str, node: str = "", queues: Sequence[str] = (), pool: Callable[[], Pool] | None = None
) -> Beating:
    """Let this process give signs of life from now on."""
    name = this_worker()
    me = Process(kind=kind, name=name, node=node, queues=list(queues), holders=[name], version=version)
    me.restarted_by, me.secrets = settings.SUPERVISOR, held()
    beating = Beating(me, pool)
    beating.start()
    return beating


def beat(me: Process) -> None:
    """Give one sign of life; the first one makes the row, and so does one that finds it gone."""
    moving = {"beat_at": Now(), "holders": me.holders, "concurrency": me.concurrency}
    if not Process.objects.filter(pk=me.pk).update(**moving):
        me.save(force_insert=True)
        me.refresh_from_db(fields=["since"])  # a row made anew says since when the process is there
    _bury_predecessors(me)


def _bury_predecessors(me: Process) -> None:
    """Take away the silent rows of processes that this one has replaced: it has their node's name, or their process id."""
    same = Q(name=me.name) | (Q(node=me.node) if me.node else Q())
    Process.objects.filter(same, beat_at__lt=Now() - SILENT_AFTER).exclude(pk=me.pk).delete()


def forget_silent() -> None:
    """Take away the rows of processes that fell silent a day ago."""
    Process.objects.filter(beat_at__lt=Now() - FORGOTTEN_AFTER).delete()
