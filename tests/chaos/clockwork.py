"""Our Celery application with jobs that come round every second."""

import django

from opsconsole.celery import app

django.setup()  # Celery does it after this module is read; the catalogue needs it now

from apps.jobs import catalogue  # noqa: E402 # behind the setup
from apps.jobs.catalogue import JobKind  # noqa: E402 # behind the setup
from apps.jobs.execution import Work  # noqa: E402 # behind the setup

__all__ = ["KINDS", "app"]


def once(work: Work) -> None:
    """Do one thing, unless an earlier worker of this run has done it."""
    if not work.run.counts:
        with work.chunk() as counts:
            counts["done"] += 1


KINDS = (
    *(
        JobKind(f"second-{n}", "Every second", "tests.chaos.clockwork.once", every_seconds=1, overlap="wait")
        for n in range(10)
    ),
    JobKind("minute", "Every minute", "tests.chaos.clockwork.once", every_seconds=60, grace_seconds=90),
)
catalogue.JOBS = KINDS
catalogue.kinds.cache_clear()
