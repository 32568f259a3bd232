"""Jobs of the tests, and a catalogue that knows them beside nothing else."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from apps.deadletters.failures import FailureClass
from apps.jobs import catalogue, scheduling
from apps.jobs.catalogue import JobKind
from apps.jobs.execution import JobFailed, Work
from apps.jobs.models import Job

CALLS: list[tuple[str, dict[str, Any]]] = []
"""For whom the quiet job was run, and with what."""


def quiet(work: Work) -> None:
    """Do one thing."""
    CALLS.append((work.tenant.slug if work.tenant else "", work.given))
    with work.chunk() as counts:
        counts["done"] += 1


def refused(work: Work) -> None:
    """Fail as a far end refuses a key."""
    raise JobFailed("The ERP refused the password of acme.", FailureClass.CREDENTIAL, "401", "erp")


def broken(work: Work) -> None:
    """Fail by a mistake of ours, after a chunk that stands."""
    with work.chunk() as counts:
        counts["done"] += 3
    raise ZeroDivisionError("division by zero")


def slow(work: Work) -> None:
    """Take a while, in small pieces."""
    for _piece in range(200):
        with work.chunk() as counts:
            counts["done"] += 1
        time.sleep(0.02)


KINDS = (
    JobKind("quiet", "Quiet", "tests.jobs.handlers.quiet", every_seconds=60),
    JobKind("nightly", "Nightly", "tests.jobs.handlers.quiet", cron="0 3 * * *", per_tenant=True),
    JobKind("refused", "Refused", "tests.jobs.handlers.refused", per_tenant=True),
    JobKind("broken", "Broken", "tests.jobs.handlers.broken"),
    JobKind("slow", "Slow", "tests.jobs.handlers.slow", timeout_seconds=60),
)


def catalogued(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Job]]:
    """Let the catalogue be the jobs above alone; give their rows by slug."""
    monkeypatch.setattr(catalogue, "JOBS", KINDS)
    catalogue.kinds.cache_clear()
    Job.objects.all().delete()
    scheduling.make_missing()
    CALLS.clear()
    yield {job.slug: job for job in Job.objects.all()}
    catalogue.kinds.cache_clear()
