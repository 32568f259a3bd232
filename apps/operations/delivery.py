"""Delivery: claim a batch that is due, make its calls at once, write what came of them in batches.

A row's lease and token are what a worker holds; the broker carries nothing but "look at this queue". No transaction
is open while a call is. Whatever kills a worker in between, the lease lapses, the sweep gives the row back, and the
connector's own protection stands against a double.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable
from math import ceil
from uuid import UUID

from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.actions import leases
from apps.actions.leases import GONE
from apps.actions.verbs import Refused
from apps.deadletters.failures import FailureClass
from apps.integrations import breakers
from apps.integrations.connectors.shape import Doubles
from apps.integrations.door import Door, Settled
from apps.integrations.models import Service
from apps.integrations.outcome import Outcome
from apps.integrations.sites import unusable
from apps.jobs.models import Queue
from apps.operations import places
from apps.operations.claiming import claim, free_services, suspects_of
from apps.operations.heartbeat import Heartbeat
from apps.operations.models import PendingOperation
from apps.operations.orders import order_of
from apps.operations.settling import Destination, Ended, Held, Written, tell, tell_services, write

log = logging.getLogger(__name__)

DRAIN_SECONDS = 5.0
"""A drain claims for so long, then others have their turn."""
LINGER_SECONDS = 0.5
"""So long a drain that had work looks for more: what was committed meanwhile needs no message of its own."""
LOOK_SECONDS = 0.1
"""After a look that found nothing to claim, the next one waits so long, unless calls end and leave room before."""
AGAIN_SECONDS = 0.005
"""Where another drain was claiming in that moment, it is tried again so soon."""
READ_SECONDS = 0.5
"""While it finds work, a drain goes so long by what it read of the services, and by where it claimed last: what holds a
service is seen by the claim itself, what was committed late with an earlier time after so long."""
BATCH = 500
SUSPECTS = ((1, 10), (2, 1))
"""Rows that were held when a worker fell silent go apart: in tens after one crash, alone after more."""
SUSPECTS_SHARE = 0.25
"""So much of a drain's time is theirs, at its end, where there are some."""
FLUSH_ROWS, FLUSH_SECONDS = 250, 0.012
RECONNECT_SECONDS = 20.0
"""So long finished work waits for the database to come back, before its lease lapses."""


def drain(
    queue: Queue,
    seconds: float = DRAIN_SECONDS,
    limit: int | None = None,
    place: int | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Counter[str]:
    """Deliver what is due in a queue, until nothing is or the time is up; return how many ended in which state.

    Any number may run at once: each claims rows that no other holds. Once `stopping` is true it claims no more and
    ends with the calls in flight.
    """
    with Heartbeat(place) as heartbeat:
        drain = Drain(queue, heartbeat, limit, stopping)
        try:
            drain.run(seconds)
        finally:
            drain.door.close()
    return drain.score


class Drain:
    """One worker's turn at one queue."""

    def __init__(self, queue: Queue, heartbeat: Heartbeat, limit: int | None, stopping: Callable[[], bool]) -> None:
        self.queue = queue
        self.heartbeat = heartbeat
        self.left = limit
        self.stopping = stopping
        self.door = Door(self._stamp)
        self.held: dict[Hashable, Held] = {}
        self.ended: list[Ended] = []
        self.flushed_at = self.look_at = self.read_at = 0.0
        self.free: list[Destination] = []
        self.sharers = 1
        self.score: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        """Carry what is due, claiming while calls are in flight; then suspects, apart, when nothing else is held."""
        began = time.monotonic()
        if self._carry_on(began + seconds * (1 - SUSPECTS_SHARE)) and not self._suspects_wait():
            self._carry_on(began + seconds)
        self._finish_all()
        self._carry_suspects(began + seconds)

    def _suspects_wait(self) -> bool:
        try:
            return suspects_of(self.queue).exists()
        except GONE as error:
            self._reconnect(error)
            return True

    def _carry_on(self, ends: float) -> bool:
        """Go on until the time is up, or nothing came for a while; say whether there was work to the end."""
        idle_since: float | None = None
        while not self._over(ends) and not _long_ago(idle_since):
            self._gather(0.02)
            claimed = self._turn()
            if claimed or self.held:
                idle_since = None
            else:
                idle_since = idle_since or time.monotonic()
                time.sleep(max(self.look_at - time.monotonic(), AGAIN_SECONDS))
        return idle_since is None

    def _turn(self) -> int:
        """Once enough has ended, write it and claim in its place; return how many were claimed.

        Where anything went wrong it is written before: the breaker hears of it before more is claimed.
        """
        if not self._enough():
            return 0
        if not all(settled.outcome and settled.outcome.succeeded for _held, settled in self.ended):
            self._flush()
        return self._exchange()

    def _enough(self) -> bool:
        waited = time.monotonic() - self.flushed_at > FLUSH_SECONDS
        return waited or len(self.ended) >= FLUSH_ROWS or not self.door.in_flight

    def _exchange(self) -> int:
        """Write and claim with one commit. What another drain sees of a service's calls is what they are: none is over and counted still."""
        destinations, ended, left = self._claimable(), self.ended, self.left
        if not (destinations or ended):
            return 0
        try:
            with transaction.atomic():
                written = write(ended)
                claims = [self._claim_for(destination, BATCH, crashes=0) for destination in destinations]
        except GONE as error:
            self.left = left
            self._reconnect(error)
            self._flush()
            return 0
        self.ended, self.flushed_at = [], time.monotonic()
        for destination, taken in zip(destinations, claims, strict=True):
            self._start(taken or [], destination)
        self._let_go(written)
        claimed = sum(map(len, filter(None, claims)))
        if destinations and not claimed:
            self._look_later(AGAIN_SECONDS if None in claims else LOOK_SECONDS)
        return claimed

    def _look_later(self, seconds: float) -> None:
        self.read_at = time.monotonic() + LOOK_SECONDS
        self.look_at = time.monotonic() + seconds

    def _carry_suspects(self, ends: float) -> None:
        """Go through every service's suspects at least once, and on while there are some and time is left."""
        carried = True
        while carried:
            groups = [self._carry_group(crashes, size, ends) for crashes, size in SUSPECTS]
            carried = any(groups) and not self._over(ends)

    def _carry_group(self, crashes: int, size: int, ends: float) -> bool:
        carried = False
        for destination in self._destinations():
            if taken := self._claim_apart(destination, size, crashes):
                carried = True
                self._start(taken, destination)
                self._finish_all()
            if self._over(ends):
                break
        return carried

    def _over(self, ends: float) -> bool:
        return time.monotonic() >= ends or self.left == 0 or self.stopping()

    def _claimable(self) -> list[Destination]:
        """Return the services that are free, so that a held one's backlog is never stepped over; none so soon after a look that found nothing."""
        if time.monotonic() < self.look_at and not self.ended:
            return []
        if time.monotonic() >= self.read_at:
            self.read_at = time.monotonic() + READ_SECONDS
            self.free = self._destinations()
        return self.free

    def _destinations(self) -> list[Destination]:
        """Read what may be called now, and how many drains share it."""
        try:
            self.sharers = max(places.taken(self.queue), 1)
            found = [self._destination(service) for service in free_services(self.queue)]
        except GONE as error:
            self._reconnect(error)
            return []
        return [destination for destination in found if destination]

    def _destination(self, service: Service) -> Destination | None:
        try:
            return Destination.of(service)
        except (KeyError, ValueError) as error:  # no row of its work is to blame
            breakers.trip_service(service, unusable(error), breakers.REFUSED_WAIT)
            return None

    def _claim_apart(self, destination: Destination, size: int, crashes: int) -> list[PendingOperation]:
        try:
            return self._claim_for(destination, size, crashes) or []
        except GONE as error:
            self._reconnect(error)
            return []

    def _claim_for(self, destination: Destination, size: int, crashes: int) -> list[PendingOperation] | None:
        """Claim rows of a service; None where another drain was at it."""
        if not self.heartbeat.fresh or self.stopping():
            return []
        size = min(size, self._share(destination), size if self.left is None else self.left)
        taken = claim(self.queue, destination.row, size, crashes, destination.since) if size > 0 else []
        if taken:
            destination.since = max(row.due_at for row in taken)
        if self.left is not None:
            self.left -= len(taken or [])
        return taken

    def _share(self, destination: Destination) -> int:
        """Return how many more calls a service takes from this drain: who came first leaves their part to the others."""
        held = sum(held.service.key == destination.key for held in self.held.values())
        held -= sum(held.service.key == destination.key for held, _settled in self.ended)
        return ceil(destination.row.max_in_flight / self.sharers) - held

    def _start(self, taken: Iterable[PendingOperation], destination: Destination) -> None:
        for operation in taken:
            self.heartbeat.tokens.add(operation.token or 0)
            self._carry(operation, destination)

    def _carry(self, operation: PendingOperation, service: Destination) -> None:
        known = service.connector.operations.get(operation.operation_type)
        doubles = known.doubles(service.site.options) if known else Doubles.NONE
        held = Held(operation, service, doubles)
        self.held[held.key] = held
        if not self.heartbeat.holds(held.token):  # we were held up since the claim, for longer than it lasts
            self.ended.append((held, Settled(held.key, None, [])))
            return
        if known is None:
            message = _("The connector %(connector)s does not know %(type)s.") % {
                "connector": service.row.connector,
                "type": operation.operation_type,
            }
            self.ended.append((held, Settled(held.key, Outcome(FailureClass.CONFIG, message), [])))
            return
        secrets = [value for value in service.site.credentials.values() if value]
        steps = known.perform(order_of(operation, service.site))
        self.door.start(held.key, steps, service.policy, doubles, secrets, operation.traceparent)

    def _stamp(self, tags: list[Hashable]) -> Collection[Hashable]:
        """Mark rows just before calls that may not be repeated; a row that is no longer ours is not called."""
        if not self.heartbeat.fresh:
            return []  # given back, uncalled
        return leases.stamp(PendingOperation, "called_at", [UUID(str(tag)) for tag in tags], self.heartbeat.tokens)

    def _gather(self, timeout: float) -> None:
        if self.door.in_flight:
            try:
                self.ended += [(self.held[settled.tag], settled) for settled in self.door.wait(timeout)]
            except GONE as error:  # of `_stamp`: nothing was called
                self._reconnect(error)

    def _finish_all(self) -> None:
        while self.door.in_flight:
            self._gather(0.1)
            if self._enough():
                self._flush()
        self._flush()

    def _flush(self) -> None:
        """Write what ended. The far end has acted already: a database that is away is waited for."""
        self.flushed_at = time.monotonic()
        if self.ended:
            written = self._written()
            self.ended = []
            self._let_go(written)

    def _written(self) -> Written:
        patience = time.monotonic() + RECONNECT_SECONDS
        while True:
            try:
                return write(self.ended)
            except GONE as error:
                if time.monotonic() > patience:
                    raise
                self._reconnect(error)

    def _let_go(self, written: Written) -> None:
        """Count what is on record, and tell its services."""
        self.score += tell(written)
        for held, _settled in written.ended:
            del self.held[held.key]
        self.heartbeat.tokens = {held.token for held in self.held.values()}
        try:
            tell_services(written.kept)
        except (*GONE, Refused) as error:  # they hear of it from the next batch
            self._reconnect(error)

    def _reconnect(self, error: Exception) -> None:
        log.warning("The database does not answer (%s); trying again.", error)
        connection.close()
        time.sleep(0.3)


def _long_ago(moment: float | None) -> bool:
    return moment is not None and time.monotonic() - moment > LINGER_SECONDS
