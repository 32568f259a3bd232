"""A purge in batches against one DELETE, each beside a writer: `python -m benchmarks.retention 1000000`."""

import argparse
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from benchmarks.ground import execute, ground, load_events, say, settle_down

PLAIN = """
DELETE FROM integrations_integrationevent WHERE status = 'processed' AND processed_at < now() - interval '30 days'
"""
OLD = """
UPDATE integrations_integrationevent SET id = uuidv7(received_at - now() - interval '60 days'), processed_at = processed_at - interval '60 days'
"""


def main() -> None:
    """Print how long each takes, its longest transaction, and how long a writer's inserts take meanwhile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    asked = parser.parse_args()
    with ground():
        say("", "in all", "longest tx", "writer p50", "p99", "max")
        for what, act in (("nothing, for 10 s", _rest), ("one DELETE", _delete), ("the purge", _purge)):
            execute("TRUNCATE integrations_integrationevent, integrations_eventsource CASCADE")
            load_events(asked.rows)
            execute(OLD)
            settle_down()
            _measure(what, act)


def _measure(what: str, act: Callable[[], object]) -> None:
    with beside() as (took, ages):
        time.sleep(1)
        began = time.perf_counter()
        act()
        seconds = time.perf_counter() - began
    centiles = statistics.quantiles(took, n=100)
    figures = [f"{seconds:.1f} s", f"{max(ages, default=0) * 1000:,.0f} ms"]
    say(what, *figures, *(f"{each * 1000:.1f} ms" for each in (centiles[49], centiles[98], max(took))))


def _rest() -> None:
    time.sleep(10)


def _delete() -> None:
    execute(PLAIN)


def _purge() -> None:
    from apps.jobs import execution, retention

    run = retention.queue({"policies": ["processed-events"]}, "benchmark")
    execution.run_here(run)
    run.refresh_from_db()
    if run.status != "succeeded":
        raise SystemExit(run.last_error)


@contextmanager
def beside() -> Any:
    """Let a writer insert, a hundred times a second at most, and somebody watch the ages of transactions."""
    over, took, ages = threading.Event(), list[float](), list[float]()
    threads = [threading.Thread(target=each) for each in (lambda: _write(over, took), lambda: _watch(over, ages))]
    for thread in threads:
        thread.start()
    yield took, ages
    over.set()
    for thread in threads:
        thread.join()


def _write(over: threading.Event, took: list[float]) -> None:
    from django.db import connection

    from apps.integrations.models import EventSource, IntegrationEvent

    source = EventSource.objects.get()
    told = {"event_type": "lead", "body": b"{}", "data": {}, "proof": "signed"}
    while not over.wait(0.01):
        began = time.perf_counter()
        IntegrationEvent.objects.create(source=source, event_id=f"new-{len(took)}", **told)
        took.append(time.perf_counter() - began)
    connection.close()


def _watch(over: threading.Event, ages: list[float]) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        while not over.wait(0.01):
            cursor.execute(
                "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            ages.append(cursor.fetchone()[0])
    connection.close()


if __name__ == "__main__":
    main()
