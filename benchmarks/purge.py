"""Rows that age: the purge in batches against one DELETE of the same rows, parts dropped, and a writer beside each.

`python -m benchmarks.purge`: a million processed events, older than their policy keeps them.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks import frame
from benchmarks.beside import p99, somebody
from benchmarks.frame import Path, Target
from benchmarks.ground import execute, ground, in_bulk, keep, load, load_attempts, load_events, put_back, settle_down

PLAIN, OURS, DROPPED, IDLE = "one plain DELETE", "the purge", "parts dropped", "nobody"
DELETE = """
DELETE FROM integrations_integrationevent WHERE status = 'processed' AND processed_at < now() - interval '30 days'
"""
OLD_PARTS = """
DO $$ BEGIN FOR day IN 100..116 LOOP
    EXECUTE format('CREATE TABLE %I PARTITION OF operations_attempt FOR VALUES FROM (%L) TO (%L)', 'operations_attempt_old' || day,
        date_trunc('day', now(), 'UTC') - day * interval '1 day', date_trunc('day', now(), 'UTC') - (day - 1) * interval '1 day');
END LOOP; END $$
"""
LOOKED_ON = {False: 10.0, True: 2.0}
"""Seconds for which a writer is watched at least, in full and in short."""


@contextmanager
def path(quick: bool) -> Iterator[list[Path]]:
    """Let old rows go in three ways, each from the same tables, a writer beside it."""
    rows = 100_000 if quick else 1_000_000
    beside = _Beside(rows, LOOKED_ON[quick])
    acts = {PLAIN: _delete, OURS: _purge("processed-events"), DROPPED: _purge("attempts")}
    with ground():
        _load(rows)
        yield [
            Path(
                slug="purge",
                title=f"Purge of {rows:,} rows",
                unit="rows/s",
                contenders={who: beside.rate(who, act) for who, act in acts.items()},
                targets=[
                    Target("purge ÷ plain DELETE", OURS, PLAIN, 0.5, 1),
                    Target("parts dropped ÷ plain DELETE", DROPPED, PLAIN, 1, 10),
                ],
                notes=[
                    "Events are deleted in batches, attempts dropped by the day; the same purge, which asks of each what still needs it."
                ],
            ),
            Path(
                slug="purge_writer",
                title="A writer's inserts beside the purge",
                unit="ms, p99",
                contenders={IDLE: beside.idle} | {who: beside.noted(who) for who in acts},
                targets=[
                    Target("beside the purge ÷ alone", OURS, IDLE, 2, 1.2),
                    Target("beside parts dropped ÷ alone", DROPPED, IDLE, 2, 1.2),
                ],
                more_is_better=False,
                notes=[f"The writer is watched for {LOOKED_ON[quick]:.0f} s at least, however soon the rows are gone."],
            ),
        ]


class _Beside:
    """Each way with its writer: one figure is asked for at a time, so the writer's waits."""

    def __init__(self, rows: int, looked_on: float) -> None:
        self.rows, self.looked_on = rows, looked_on
        self.waits: dict[str, list[float]] = {}

    def rate(self, who: str, act: Callable[[], object]) -> Callable[[], float]:
        def measure() -> float:
            put_back()
            with somebody("insert") as took:
                began = time.perf_counter()
                act()
                seconds = time.perf_counter() - began
                time.sleep(max(self.looked_on - seconds, 0))
            self.waits.setdefault(who, []).append(p99(took))
            return self.rows / seconds

        return measure

    def noted(self, who: str) -> Callable[[], float]:
        return lambda: self.waits[who].pop(0)

    def idle(self) -> float:
        put_back()
        with somebody("insert") as took:
            time.sleep(self.looked_on)
        return p99(took)


def _load(rows: int) -> None:
    with in_bulk():
        load("completed", rows)
        execute(OLD_PARTS)
        load_attempts("100 days")
        load_events(rows, "60 days")
    settle_down()
    keep()


def _delete() -> None:
    execute(DELETE)


def _purge(policy: str) -> Callable[[], None]:
    def run() -> None:
        from apps.jobs import execution, retention

        asked = retention.queue({"policies": [policy]}, "benchmark")
        execution.run_here(asked)
        asked.refresh_from_db()
        if asked.status != "succeeded":
            raise SystemExit(asked.last_error)

    return run


if __name__ == "__main__":
    frame.main(path, __doc__)
