"""How runs are carried out: claimed with a lease, by the handler that the catalogue names, in chunks that commit.

A chunk is one transaction of the handler's own. What it did, its counts and the proof that the run is still ours commit
together: a worker that was slow, paused or cut off writes nothing more, and whoever goes on begins where it stopped.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from apps.actions import leases
from apps.actions.binding import binding
from apps.actions.leases import GONE
from apps.actions.running import database_now, step
from apps.deadletters.failing import take_back
from apps.deadletters.failures import FailureClass
from apps.jobs.catalogue import kinds
from apps.jobs.models import Job, JobRun, Tenant

log = logging.getLogger(__name__)
told = logging.getLogger("opsconsole.run")
"""The lines of runs: each carries its run's id."""

SLICE_SECONDS = 60.0
"""So long one run keeps its worker while others wait for one: a huge tenant does not hold up the small ones."""
KEPT_CHARACTERS = 4000


class JobFailed(Exception):
    """The run has failed: why, as a failure class and a word, in a sentence; and the service that it came from."""

    def __init__(self, message: str, failure: FailureClass, error_type: str, service: str = "") -> None:
        super().__init__(message)
        self.failure = failure
        self.error_type = error_type
        self.service = service


class GiveBack(Exception):
    """The run goes on later: its worker stops, or others have waited long enough."""


class Lost(Exception):
    """The run is no longer ours: cancelled, timed out, or taken by another worker. Nothing more is written."""


@dataclass
class Work:
    """A run under way, as its handler sees it."""

    run: JobRun
    stopping: Callable[[], bool]
    began: float = field(default_factory=time.monotonic)

    @property
    def tenant(self) -> Tenant | None:
        """For whom it runs."""
        return self.run.tenant

    @property
    def given(self) -> dict[str, Any]:
        """What it was asked with."""
        return dict(self.run.given)

    def say(self, text: str, level: int = logging.INFO) -> None:
        """Write a line into the run's log."""
        told.log(level, text, extra=said_of(self.run))

    def expect(self, number: int) -> None:
        """Say how much there is to do; the page shows how far it is."""
        JobRun.objects.filter(pk=self.run.pk, token=self.run.token).update(expected=number)

    @contextmanager
    def chunk(self) -> Iterator[Counter[str]]:
        """Do one piece in a transaction of its own, and count it in what this yields.

        Raises `Lost` where the run is no longer ours, undoing the chunk, and `GiveBack` before one that is not to begin.
        """
        if self.stopping() or self._has_had_its_turn():
            raise GiveBack
        counts: Counter[str] = Counter()
        with transaction.atomic():
            yield counts
            counted = self._commit(counts)
        self.run.counts = counted

    def _commit(self, counts: Counter[str]) -> dict[str, int]:
        """Write the counts as the last act of a chunk: fenced, and the sign that the run gets on."""
        counted = {word: self.run.counts.get(word, 0) + counts[word] for word in {**self.run.counts, **counts}}
        mine = JobRun.objects.filter(pk=self.run.pk, token=self.run.token, lease_until__gt=Now())
        if not mine.update(counts=counted, crashes=0, lease_until=Now() + leases.LEASE):
            raise Lost
        return counted

    def _has_had_its_turn(self) -> bool:
        return time.monotonic() - self.began > SLICE_SECONDS and claimable().exists()


def said_of(run: JobRun) -> dict[str, Any]:
    """Return what a log line about a run carries."""
    return {"run_id": str(run.pk), "job": run.job.slug, "tenant": run.tenant.slug if run.tenant else ""}


def claimable() -> QuerySet[JobRun]:
    """Return the runs that may begin now, those that have waited longest first."""
    queued = JobRun.objects.filter(status=JobRun.Status.QUEUED, due_at__lte=Now())
    jobs = Job.objects.filter(status=Job.Status.ACTIVE).values("pk")
    carried = Q(tenant=None) | Q(tenant__in=Tenant.objects.filter(status=Tenant.Status.ACTIVE).values("pk"))
    mates = JobRun.objects.filter(job=OuterRef("job"), status=JobRun.Status.RUNNING)
    busy = mates.filter(Q(tenant=OuterRef("tenant")) | Q(tenant=None))
    return queued.filter(carried, ~Exists(busy), job__in=jobs).order_by("due_at", "id")


def work_off(seconds: float, stopping: Callable[[], bool] = lambda: False) -> Counter[str]:
    """Carry out the runs that are due until none is or the time is up; return how many ended how."""
    ends, score = time.monotonic() + seconds, Counter[str]()
    while time.monotonic() < ends and not stopping() and (run := claim()):
        score[carry_out(run, stopping)] += 1
    return score


def claim(**which: Any) -> JobRun | None:
    """Take the next run that may begin, of those that `which` filters; None where another worker was quicker."""
    rows = claimable().filter(**which)
    try:
        taken = leases.take(JobRun.claim, rows, 1)
    except IntegrityError:  # of one job and tenant two were claimed in the same moment
        return None
    return JobRun.objects.select_related("job", "tenant").get(pk=taken[0].pk) if taken else None


def run_here(run: JobRun) -> str:
    """Carry out a queued run in this process, to its end; return how it ended, "queued" where it has to wait.

    It waits where another run of its job and tenant is under way, or one of them is paused.
    """
    end = "given back"
    while end == "given back":
        taken = claim(pk=run.pk)
        if taken is None:
            return str(JobRun.Status.QUEUED)
        end = carry_out(taken)
    return end


def carry_out(run: JobRun, stopping: Callable[[], bool] = lambda: False) -> str:
    """Let the handler of a claimed run do its work; return how it ended. Each line of the log meanwhile is one of its."""
    with binding(**said_of(run)):
        told.info("%s started", run.job.slug)
        end = _ended(run, stopping)
        told.log(logging.ERROR if end == "failed" else logging.INFO, "%s ended: %s", run.job.slug, end)
    return end


def _ended(run: JobRun, stopping: Callable[[], bool]) -> str:
    work = Work(run, stopping)
    try:
        with _kept(run):
            _handler(run)(work)
    except GiveBack:
        leases.finish(JobRun.give_back, {run.pk: {}}, run.token or 0)
        return "given back"
    except Lost:
        return "lost"
    except JobFailed as error:
        return _failed(run, error.failure, error.error_type, str(error), error.service)
    except GONE as error:
        return _failed(run, FailureClass.TRANSIENT, "database", str(error))
    except Exception as error:
        log.exception("The run %s of %s failed.", run.pk, run.job.slug)
        return _failed(run, FailureClass.UNKNOWN, type(error).__name__, str(error))
    return "succeeded" if leases.finish(JobRun.finish, {run.pk: {}}, run.token or 0) else "lost"


def _handler(run: JobRun) -> Callable[[Work], None]:
    kind = kinds().get(run.job.slug)
    if kind is None:
        raise JobFailed(
            _("%(job)s is no longer part of this version.") % {"job": run.job}, FailureClass.CONFIG, "no_handler"
        )
    found: Callable[[Work], None] = import_string(kind.handler)
    return found


def _failed(run: JobRun, failure: FailureClass, error_type: str, why: str, service: str = "") -> str:
    if not connection.in_atomic_block and not connection.is_usable():
        connection.close()  # the next statement connects anew, or the lease lapses
    told = {"failure_class": failure, "error_type": error_type[:100], "service": service}
    written = leases.finish(JobRun.fail, {run.pk: {**told, "last_error": why[:KEPT_CHARACTERS]}}, run.token or 0)
    return "failed" if written else "lost"


@contextmanager
def _kept(run: JobRun) -> Iterator[None]:
    """Renew the lease from a thread and a connection of its own, for as long as the job allows."""
    over = threading.Event()
    thread = threading.Thread(target=_renew, args=(run, over), name="run's lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _renew(run: JobRun, over: threading.Event) -> None:
    ends = time.monotonic() + run.job.timeout_seconds
    while not over.wait(leases.LEASE.total_seconds() / 3) and time.monotonic() < ends:
        try:
            leases.renew(JobRun, {run.token or 0})
        except GONE:
            log.warning("The lease of the run %s could not be renewed; trying again.", run.pk)
            connection.close()
    connection.close()


# What the sweep does for runs


def rescue_lapsed() -> int:
    """Take runs back from workers that fell silent, and end those that took too long; return how many."""
    running = JobRun.objects.filter(status=JobRun.Status.RUNNING)
    now = database_now()
    overdue = [run.pk for run in running.select_related("job") if run.over_at and run.over_at < now]
    ended = step(JobRun.time_out, running.filter(pk__in=overdue), last_error=_("It took longer than its job allows."))
    return len(ended) + take_back(running)
