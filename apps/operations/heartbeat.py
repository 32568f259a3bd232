"""The sign of life of a drain: while it comes, nobody else takes what the drain holds."""

import logging
import threading
import time
from dataclasses import dataclass, field

from django.db import connection

from apps.actions import leases
from apps.actions.leases import GONE
from apps.operations import places
from apps.operations.models import PendingOperation

log = logging.getLogger(__name__)


@dataclass
class Heartbeat:
    """Renews the leases of all that a drain holds, and its place, from a thread and a connection of its own."""

    place: int | None = None
    tokens: set[int] = field(default_factory=set)
    lapsed: set[int] = field(default_factory=set)
    """What was held while no sign of life was given for as long as a lease: somebody else has it."""
    good_at: float = field(default_factory=time.monotonic)
    stopped: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Heartbeat":
        self.thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stopped.set()
        self.thread.join()

    @property
    def fresh(self) -> bool:
        """Whether calls may be started: not once the leases may be close to their end."""
        return time.monotonic() - self.good_at < leases.LEASE.total_seconds() * 2 / 3

    def holds(self, token: int) -> bool:
        """Whether rows under a token may be called: their lease stands, and not close to its end."""
        self._note_lapse()
        return token not in self.lapsed and self.fresh

    def _beat(self) -> None:
        rhythm = places.KEPT_SECONDS / 3  # the shorter of the two
        while not self.stopped.wait(rhythm):
            try:
                self._renew()
            except GONE:
                log.warning("The leases could not be renewed; trying again.")
                connection.close()
        connection.close()

    def _renew(self) -> None:
        self._note_lapse()
        asked_at = time.monotonic()
        leases.renew(PendingOperation, set(self.tokens))
        self.good_at = asked_at
        if self.place is not None:
            places.keep(self.place)

    def _note_lapse(self) -> None:
        if time.monotonic() - self.good_at >= leases.LEASE.total_seconds():
            self.lapsed |= self.tokens
