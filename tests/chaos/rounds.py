"""Jobs that come round every second."""

from apps.jobs.catalogue import JobKind
from apps.jobs.execution import Work


def once(work: Work) -> None:
    """Do one thing, unless an earlier worker of this run has done it."""
    if not work.run.counts:
        with work.chunk() as counts:
            counts["done"] += 1


KINDS = (
    *(
        JobKind(f"second-{n}", "Every second", "tests.chaos.rounds.once", every_seconds=1, overlap="wait")
        for n in range(10)
    ),
    JobKind("minute", "Every minute", "tests.chaos.rounds.once", every_seconds=60, grace_seconds=90),
)
