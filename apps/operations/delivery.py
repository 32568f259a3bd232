"""Delivery: claim a batch that is due, make its calls at once, write what came of them in batches.

A row's lease and token are what a worker holds; the broker carries nothing but "look at this queue". No transaction
is open while a call is. Whatever kills a worker in between, the lease lapses, the sweep gives the row back, and the
connector's own protection stands against a double.
"""

import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import InterfaceError, InternalError, OperationalError, connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.actions import leases
from apps.actions.verbs import Refused
from apps.deadletters.failures import COUNTED_BY_BREAKER, NO_ATTEMPT_USED, FailureClass
from apps.integrations import breakers, limits
from apps.integrations.breakers import Report
from apps.integrations.connectors import CONNECTORS
from apps.integrations.connectors.shape import Connector, Doubles, Order, Site
from apps.integrations.door import Door, Settled
from apps.integrations.egress import Policy
from apps.integrations.models import Service
from apps.integrations.outcome import Outcome
from apps.integrations.sites import connector_of, policy_of, site_of, unusable
from apps.jobs.models import Queue, Tenant
from apps.operations import places
from apps.operations.models import POISON_AFTER, Attempt, PendingOperation, Tally
from apps.operations.outcomes import Next, decide

log = logging.getLogger(__name__)

DRAIN_SECONDS = 5.0
"""A drain claims for so long, then others have their turn."""
LINGER_SECONDS = 0.5
"""So long a drain that had work looks for more: what was committed meanwhile needs no message of its own."""
LOOK_SECONDS = 0.1
"""After a look that found nothing to claim, the next one waits so long: calls may be in flight for seconds."""
BATCH = 200
SUSPECTS = ((1, 10), (2, 1))
"""Rows that were held when a worker fell silent go apart: in tens after one crash, alone after more."""
SUSPECTS_SHARE = 0.25
"""So much of a drain's time is theirs, at its end."""
FLUSH_ROWS, FLUSH_SECONDS = 100, 0.05
SPENT_WAIT, DOWN_WAIT = 3600, 60
"""Seconds before the first probe, where a spent quota or a service that is down names no time itself."""
GONE = (OperationalError, InterfaceError, InternalError)
"""What a connection says that the database ended: by its crash, or because we slept in the middle of a transaction."""
RECONNECT_SECONDS = 20.0
"""So long finished work waits for the database to come back, before its lease lapses."""


@dataclass
class Held:
    """An operation in this drain's hands."""

    operation: PendingOperation
    service: "Destination"
    doubles: Doubles

    @property
    def token(self) -> int:
        """The number its claim was given."""
        return self.operation.token or 0


Ended = tuple["Held", Settled]
"""An operation whose call is over, and what it came to."""


@dataclass
class Destination:
    """A service as this drain knows it: its row, its connector and what they need, read once per look at the queue."""

    row: Service
    connector: Connector
    site: Site
    policy: Policy

    @classmethod
    def of(cls, service: Service) -> "Destination":
        """Read what calls to a service need."""
        return cls(service, connector_of(service), site_of(service), policy_of(service))


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
        self.flushed_at = self.look_at = time.monotonic()
        self.score: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        """Carry what is due, claiming while calls are in flight; then suspects, apart, when nothing else is held."""
        began = time.monotonic()
        self._carry_on(began + seconds * (1 - SUSPECTS_SHARE))
        self._finish_all()
        self._carry_suspects(began + seconds)

    def _carry_on(self, ends: float) -> None:
        idle_since: float | None = None
        while not self._over(ends) and not _long_ago(idle_since):
            claimed = self._claim()
            self._collect(0.02)
            if claimed or self.held:
                idle_since = None
            else:
                idle_since = idle_since or time.monotonic()
                time.sleep(LOOK_SECONDS)

    def _carry_suspects(self, ends: float) -> None:
        """Go through every service's suspects at least once, and on while there are some and time is left."""
        carried = True
        while carried:
            groups = [self._carry_group(crashes, size, ends) for crashes, size in SUSPECTS]
            carried = any(groups) and not self._over(ends)

    def _carry_group(self, crashes: int, size: int, ends: float) -> bool:
        carried = False
        for service in self._free_services():
            if self._claim_for(service, size, crashes):
                carried = True
                self._finish_all()
            if self._over(ends):
                break
        return carried

    def _over(self, ends: float) -> bool:
        return time.monotonic() >= ends or self.left == 0 or self.stopping()

    def _claim(self) -> int:
        """Claim rows service by service, those that are free, so that a held one's backlog is never stepped over."""
        if time.monotonic() < self.look_at:
            return 0
        claimed = sum(self._claim_for(service, BATCH, crashes=0) for service in self._free_services())
        if not claimed:
            self.look_at = time.monotonic() + LOOK_SECONDS
        return claimed

    def _free_services(self) -> list[Service]:
        try:
            return free_services(self.queue)
        except GONE as error:
            self._reconnect(error)
            return []

    def _claim_for(self, service: Service, size: int, crashes: int) -> int:
        if not self.heartbeat.fresh or self.stopping():
            return 0
        try:
            destination = Destination.of(service)
        except (KeyError, ValueError) as error:  # no row of its work is to blame
            breakers.trip_service(service, unusable(error), breakers.REFUSED_WAIT)
            return 0
        try:
            taken = claim(self.queue, service, size if self.left is None else min(size, self.left), crashes)
        except GONE as error:
            self._reconnect(error)
            return 0
        self._start(taken, destination)
        return len(taken)

    def _start(self, taken: Iterable[PendingOperation], destination: Destination) -> None:
        for operation in taken:
            if self.left is not None:
                self.left -= 1
            self.heartbeat.tokens.add(operation.token or 0)
            self._carry(operation, destination)

    def _carry(self, operation: PendingOperation, service: Destination) -> None:
        known = service.connector.operations.get(operation.operation_type)
        doubles = known.doubles(service.site.options) if known else Doubles.NONE
        held = self.held[operation.pk] = Held(operation, service, doubles)
        if not self.heartbeat.holds(held.token):  # we were held up since the claim, for longer than it lasts
            self.ended.append((held, Settled(operation.pk, None, [])))
            return
        if known is None:
            message = _("The connector %(connector)s does not know %(type)s.") % {
                "connector": service.row.connector,
                "type": operation.operation_type,
            }
            self.ended.append((held, Settled(operation.pk, Outcome(FailureClass.CONFIG, message), [])))
            return
        secrets = [value for value in service.site.credentials.values() if value]
        self.door.start(
            operation.pk, known.perform(order_of(operation, service.site)), service.policy, doubles, secrets
        )

    def _stamp(self, tags: list[Hashable]) -> Collection[Hashable]:
        """Mark rows just before calls that may not be repeated; a row that is no longer ours is not called."""
        if not self.heartbeat.fresh:
            return []  # given back, uncalled
        return leases.stamp(PendingOperation, "called_at", [UUID(str(tag)) for tag in tags], self.heartbeat.tokens)

    def _collect(self, timeout: float) -> None:
        if self.door.in_flight:
            try:
                self.ended += [(self.held[settled.tag], settled) for settled in self.door.wait(timeout)]
            except GONE as error:  # of `_stamp`: nothing was called
                self._reconnect(error)
        if len(self.ended) >= FLUSH_ROWS or time.monotonic() - self.flushed_at > FLUSH_SECONDS:
            self._flush()

    def _finish_all(self) -> None:
        while self.door.in_flight:
            self._collect(0.1)
        self._flush()

    def _flush(self) -> None:
        """Write what ended. The far end has acted already: a database that is away is waited for."""
        self.flushed_at = time.monotonic()
        ended, self.ended = self.ended, []
        if not ended:
            return
        score, told = self._written(ended)
        self.score += score
        for held, _settled in ended:
            del self.held[held.operation.pk]
        self.heartbeat.tokens = {held.token for held in self.held.values()}
        try:
            tell_services(told)
        except (*GONE, Refused) as error:  # they hear of it from the next batch
            self._reconnect(error)

    def _written(self, ended: list[Ended]) -> tuple[Counter[str], list[Ended]]:
        patience = time.monotonic() + RECONNECT_SECONDS
        while True:
            try:
                return write(ended)
            except GONE as error:
                if time.monotonic() > patience:
                    raise
                self._reconnect(error)

    def _reconnect(self, error: Exception) -> None:
        log.warning("The database does not answer (%s); trying again.", error)
        connection.close()
        time.sleep(0.3)


def write(ended: list[Ended]) -> tuple[Counter[str], list[Ended]]:
    """Write the outcomes and attempts of a batch in one transaction; return how many rows took which step, and which.

    What is stale is left out: a worker that slept for longer than its lease timed its calls by its own sleep, and
    nothing that they say speaks against a service.
    """
    steps: dict[tuple[str, int], dict[UUID, Any]] = defaultdict(dict)
    for held, settled in ended:
        step, values = _next(held, settled)
        steps[step, held.token][held.operation.pk] = values
    with transaction.atomic():
        written: set[UUID] = set()
        for (name, token), values in sorted(steps.items()):
            written.update(leases.finish(getattr(PendingOperation, name), values, token))
        Attempt.objects.bulk_create(_attempts(ended, written))
    score = Counter(name for (name, _token), values in steps.items() for key in values if key in written)
    return score, [(held, settled) for held, settled in ended if held.operation.pk in written]


def _next(held: Held, settled: Settled) -> tuple[str, Any]:
    if settled.outcome is None:  # not called: the row was no longer ours, or was about to be
        return "release", {}
    step: Next = decide(held.operation, settled.outcome, held.doubles, held.service.row)
    last = settled.exchanges[-1].status if settled.exchanges else None
    if last and last >= 400 and "error_type" in step.values:
        return step.step.name, {**step.values, "error_type": f"HTTP {last}"}
    return step.step.name, step.values


def _attempts(ended: list[Ended], written: set[UUID]) -> list[Attempt]:
    return [
        Attempt(
            operation_id=held.operation.pk,
            at=exchange.started_at,
            duration_ms=exchange.duration_ms,
            method=exchange.method,
            url=exchange.url[:500],
            status_code=exchange.status,
            failure_class=_class_of(settled) if last else "",
            excerpt=exchange.excerpt,
            worker=held.operation.worker,
            stale=held.operation.pk not in written,
        )
        for held, settled in ended
        for last, exchange in _marked(settled.exchanges)
    ]


def _marked(exchanges: list[Any]) -> Iterable[tuple[bool, Any]]:
    return ((number == len(exchanges), exchange) for number, exchange in enumerate(exchanges, 1))


def _class_of(settled: Settled) -> str:
    return settled.outcome.failure_class or "" if settled.outcome else ""


def tell_services(ended: list[Ended]) -> None:
    """Tell limits and breakers what the calls of a batch say of their services."""
    by_service: dict[UUID, list[Ended]] = defaultdict(list)
    for held, settled in ended:
        by_service[held.service.row.pk].append((held, settled))
    for key, told in by_service.items():
        limits.charge(key, sum(max(len(settled.exchanges) - 1, 0) for _held, settled in told))
        breakers.report(key, _report(told))
        for outcome in _waits(told):
            _hold_service(told[0][0].service.row, outcome)


def _report(told: list[Ended]) -> Report:
    """Count the failures that came after the last answer that speaks for the service."""
    failures, answered = 0, False
    for _held, settled in told:
        if settled.outcome is not None and settled.exchanges:
            counted = settled.outcome.failure_class in COUNTED_BY_BREAKER
            failures, answered = (failures + 1, answered) if counted else (0, True)
    return Report(failures, answered)


def _waits(told: list[Ended]) -> Iterable[Outcome]:
    """Return what makes the whole service wait: of each class the longest wait that was asked for."""
    outcomes = [settled.outcome for _held, settled in told if settled.outcome is not None]
    asked = [outcome for outcome in outcomes if outcome.failure_class in NO_ATTEMPT_USED]
    return {outcome.failure_class: outcome for outcome in sorted(asked, key=lambda one: one.retry_after or 0)}.values()


def _hold_service(service: Service, outcome: Outcome) -> None:
    match outcome.failure_class:
        case FailureClass.RATE_LIMITED:
            limits.hold(service, outcome.retry_after or service.backoff_base_seconds, outcome.message)
        case FailureClass.CREDENTIAL:
            breakers.trip_service(service, outcome.message, breakers.REFUSED_WAIT)
        case FailureClass.QUOTA:
            breakers.trip_service(service, outcome.message, outcome.retry_after or SPENT_WAIT)
        case FailureClass.DEPENDENCY_DOWN:
            breakers.trip_service(service, outcome.message, outcome.retry_after or DOWN_WAIT)


def order_of(operation: PendingOperation, site: Site) -> Order:
    """Return an operation as its connector sees it: the key and the reference are its id, whatever is tried how often."""
    return Order(
        id=str(operation.pk),
        key=str(operation.pk),
        reference=f"opsconsole:{operation.pk}",
        operation_type=operation.operation_type,
        payload=operation.payload,
        site=site,
        called_at=operation.called_at,
        remote_id=operation.remote_id,
    )


def claim(queue: Queue, service: Service, wanted: int, crashes: int) -> list[PendingOperation]:
    """Claim what is due of a service in a queue, as many rows as its limit and its calls in flight leave room for.

    One short transaction, which holds the service's row: of several drains one at a time counts and takes.
    """
    due = _due(crashes).filter(queue=queue, service=service)
    if not due.exists():
        return []
    with transaction.atomic():
        granted = limits.grant(service.pk, wanted)
        wanted = min(granted, _room(service))
        taken = leases.take(PendingOperation.claim, due.order_by("due_at", "id")[:wanted]) if wanted > 0 else []
        limits.charge(service.pk, len(taken) - granted)
    return taken


def free_services(queue: Queue) -> list[Service]:
    """Return the services that have work due in a queue and may be called now, least recently called first."""
    if not Queue.objects.filter(pk=queue.pk, status=Queue.Status.ACTIVE).exists():
        return []
    due = _due().filter(queue=queue, service=OuterRef("pk"))
    waited = Q(waits_until__isnull=True) | Q(waits_until__lte=Now())
    return list(
        Service.objects.filter(waited, Exists(due), status=Service.Status.ACTIVE, breaker__status="closed").order_by(
            F("tokens_at").asc(nulls_first=True)
        )
    )


def queues_with_work() -> list[Queue]:
    """Return the active queues in which something is due that may go out now."""
    return [queue for queue in Queue.objects.filter(status=Queue.Status.ACTIVE) if free_services(queue)]


def _due(crashes: int | None = None) -> QuerySet[PendingOperation]:
    """Return what is due; with `crashes`, only what was held so often by a worker that fell silent (2: or more)."""
    due = PendingOperation.objects.filter(status="pending", due_at__lte=Now())
    held = list(Tenant.objects.filter(status=Tenant.Status.PAUSED).values_list("pk", flat=True))
    if held:
        due = due.exclude(tenant__in=held)
    if crashes is None:
        return due
    return due.filter(crashes__gte=2) if crashes == 2 else due.filter(crashes=crashes)


def _long_ago(moment: float | None) -> bool:
    return moment is not None and time.monotonic() - moment > LINGER_SECONDS


def _room(service: Service) -> int:
    """Return how many more calls the service takes at once, over all workers."""
    in_flight = Tally.objects.filter(service=service, status="processing").aggregate(n=Sum("change"))["n"] or 0
    return service.max_in_flight - int(in_flight)


def rescue_lapsed() -> int:
    """Take rows back from workers that fell silent; return how many. What may have taken effect goes to a person."""
    lapsed = _renewable(PendingOperation.objects.filter(status="processing", lease_until__lt=Now()))
    silent = _("Its worker fell silent for the %(times)sth time while it was under way.") % {"times": POISON_AFTER}
    buried = leases.rescue(PendingOperation.bury, lapsed.filter(crashes__gte=POISON_AFTER - 1), last_error=silent)
    unsure = _("Its worker fell silent in the middle of the call, and this service cannot be asked what became of it.")
    doubted = leases.rescue(PendingOperation.doubt, lapsed.filter(pk__in=_undecidable(lapsed)), last_error=unsure)
    rescued = leases.rescue(PendingOperation.rescue, lapsed.exclude(pk__in=_undecidable(lapsed)))
    return len(buried) + len(doubted) + len(rescued)


def _renewable(lapsed: QuerySet[PendingOperation]) -> QuerySet[PendingOperation]:
    """Leave out leases that nobody could renew because the database was away: for one lease, no holder is to blame."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT started - lease FROM (SELECT pg_postmaster_start_time(), %s * interval '1 s') AS server(started, lease)"
            " WHERE started > statement_timestamp() - lease",
            [leases.LEASE.total_seconds()],
        )
        lately = cursor.fetchone()
    return lapsed.filter(lease_until__lt=lately[0]) if lately else lapsed


def _undecidable(lapsed: QuerySet[PendingOperation]) -> list[UUID]:
    """Return the rows whose call may have gone out to a service that offers nothing against doubles."""
    called = lapsed.filter(called_at__isnull=False).select_related("service").defer("payload", "result")
    return [row.pk for row in called if doubles_of(row) == Doubles.NONE]


def doubles_of(operation: PendingOperation) -> Doubles:
    """Return what stands against doing an operation twice."""
    known = CONNECTORS[operation.service.connector].operations.get(operation.operation_type)
    return known.doubles(operation.service.options) if known else Doubles.NONE


def fold_tallies() -> None:
    """Fold the counting rows together; several may try, each takes those that no other holds."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH gone AS (DELETE FROM operations_tally WHERE id IN"
            " (SELECT id FROM operations_tally ORDER BY id LIMIT 10000 FOR UPDATE SKIP LOCKED)"
            " RETURNING service_id, queue_id, status, archived, change)"
            " INSERT INTO operations_tally (service_id, queue_id, status, archived, change)"
            " SELECT service_id, queue_id, status, archived, sum(change) FROM gone"
            " GROUP BY 1, 2, 3, 4 HAVING sum(change) <> 0"
        )
