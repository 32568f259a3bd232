"""Somebody else, who works beside what is measured and notes how long each of their statements took.

A process of its own: within ours it would wait for Python, and that would be measured.
"""

import json
import os
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EVERY_SECONDS = 0.01


@contextmanager
def somebody(act: str) -> Iterator[list[float]]:
    """Let somebody `insert` or `update`, a hundred times a second at most; the list is filled with milliseconds at the end."""
    took: list[float] = []
    words = [sys.executable, "-m", "benchmarks.beside", act]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:  # noqa: S603 # ours
        assert other.stdin  # noqa: S101 # a pipe, as asked for
        assert other.stdout  # noqa: S101 # a pipe, as asked for
        other.stdout.readline()
        yield took
        other.stdin.close()
        took.extend(json.loads(other.stdout.read()))


def p99(took: list[float]) -> float:
    """Return what one in a hundred took longer than."""
    return statistics.quantiles(took, n=100)[98]


def _main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "opsconsole.settings"
    import django

    django.setup()
    act, took = {"insert": _inserting, "update": _updating}[sys.argv[1]](), list[float]()
    for _warmed_up in range(20):
        act()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not select.select([sys.stdin], [], [], EVERY_SECONDS)[0]:
        took.append(_milliseconds(act))
    sys.stdout.write(json.dumps(took))


def _milliseconds(act: Callable[[], object]) -> float:
    """Return how long something took; who is turned away after a wait for a lock has waited all the same."""
    from django.db import OperationalError

    from apps.actions.running import LOCK_TIMEOUT

    began = time.perf_counter()
    try:
        act()
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != LOCK_TIMEOUT:
            raise
    return (time.perf_counter() - began) * 1000


def _inserting() -> Callable[[], object]:
    """Return how an event comes in."""
    from apps.integrations.models import EventSource, IntegrationEvent

    source, numbers = EventSource.objects.get(), count()
    told = {"event_type": "lead", "body": b"{}", "data": {}, "proof": "signed"}
    return lambda: IntegrationEvent.objects.create(
        source=source, event_id=f"{os.getpid()}-{time.time_ns()}-{next(numbers)}", **told
    )


def _updating() -> Callable[[], object]:
    """Return how somebody changes a failed operation, another one each time."""
    from apps.operations.models import PendingOperation

    failed = PendingOperation.objects.filter(status="failed").order_by("?")
    keys = list(failed.values_list("pk", flat=True)[:20_000])
    return lambda: PendingOperation.objects.filter(pk=keys.pop()).update(source="elsewhere")


if __name__ == "__main__":
    _main()
