"""Bulk verbs against the same statements by hand: `python -m benchmarks.bulk_retry`.

A hundred thousand failed operations among others are moved through the product, as a worker does it, and by hand, each
time from the same tables. In full also the other verbs, and a retry of a million.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks import frame
from benchmarks.beside import p99, somebody
from benchmarks.frame import Path, Target
from benchmarks.ground import conninfo, empty, ground, in_bulk, keep, load_states, put_back, settle_down

TWO, FOUR, OURS = "two statements by hand", "four by hand, the dead letters too", "the retry"
UPDATE = """
UPDATE operations_pendingoperation SET status = 'pending', due_at = now(), updated_at = now() WHERE status = 'failed'
"""
ITEMS = """
INSERT INTO actions_actionitem (run_id, kind, object_id, verb, from_status, to_status, actor_name, outcome, created_at)
SELECT (SELECT uuidv7()), 'operations.pendingoperation', id, 'retry', 'failed', 'pending', 'ana', '', now()
  FROM operations_pendingoperation WHERE status = 'pending' AND failure_class = 'transient'
"""
LETTERS = """
UPDATE deadletters_deadletter SET status = 'retrying', updated_at = now() WHERE status = 'unresolved'
"""
ITEMS_OF_LETTERS = """
INSERT INTO actions_actionitem (run_id, kind, object_id, verb, from_status, to_status, actor_name, outcome, created_at)
SELECT (SELECT uuidv7()), 'deadletters.deadletter', id, 'follow_retry', 'unresolved', 'retrying', 'ana', '', now()
  FROM deadletters_deadletter WHERE status = 'retrying'
"""
GIVEN: dict[str, dict[str, str]] = {
    "retry": {},
    "reset": {},
    "archive": {"reason": "Settled by phone."},
    "resolve": {"note": "Settled by phone."},
}


@contextmanager
def path(quick: bool) -> Iterator[list[Path]]:
    """Move failed operations in several ways, somebody changing others beside them."""
    rows = 10_000 if quick else 100_000
    with ground():
        _load(rows)
        yield [_retry(rows), _answers(rows), *([] if quick else [_verbs(rows), _million()])]


_asked: list[float] = []
"""Milliseconds until each of our runs was asked for."""


def _retry(rows: int) -> Path:
    return Path(
        slug="bulk_retry",
        title=f"Retry of {rows:,} operations",
        unit="s",
        contenders={
            TWO: lambda: _by_hand(UPDATE, ITEMS),
            FOUR: lambda: _by_hand(UPDATE, ITEMS, LETTERS, ITEMS_OF_LETTERS),
            OURS: lambda: _ours("retry"),
        },
        targets=[
            Target("the retry ÷ two statements by hand", OURS, TWO, 1.5, 1.1),
            Target("the retry ÷ the same four by hand", OURS, FOUR, 1.5, 1.1),
        ],
        more_is_better=False,
        notes=["The retry moves each operation and its dead letter, and writes a line of history for both."],
    )


def _answers(rows: int) -> Path:
    """Return what others have of it: who asked, and who changes single operations meanwhile."""
    return Path(
        slug="bulk_retry_others",
        title=f"Who waits for a retry of {rows:,} operations",
        unit="ms",
        contenders={
            "the answer to who asks for it": lambda: _asked.pop(0),
            "somebody's single updates, alone, p99": lambda: _watched(lambda: time.sleep(3)),
            "the same beside one UPDATE by hand, p99": lambda: _watched(lambda: _by_hand(UPDATE, ITEMS, put=False)),
            "the same beside the retry, p99": lambda: _watched(lambda: _ours("retry", put=False)),
        },
        more_is_better=False,
        rounds_at_most=3,
    )


def _verbs(rows: int) -> Path:
    verbs: dict[str, Callable[[], float]] = {name: partial(_ours, name) for name in ("reset", "archive", "resolve")}
    return Path(
        slug="bulk_verbs",
        title=f"Other verbs on {rows:,} operations",
        unit="s",
        contenders=verbs,
        more_is_better=False,
        rounds_at_most=2,
    )


def _million() -> Path:
    def hand() -> float:
        _load(1_000_000)
        return _by_hand(UPDATE, ITEMS)

    return Path(
        slug="bulk_retry_million",
        title="Retry of 1,000,000 operations",
        unit="s",
        contenders={TWO: hand, OURS: lambda: _ours("retry")},
        targets=[Target("the retry ÷ two statements by hand", OURS, TWO, 1.5, 1.1)],
        more_is_better=False,
        rounds_at_most=1,
    )


def _watched(act: Callable[[], object]) -> float:
    put_back()
    with somebody("update") as took:
        act()
    return p99(took)


def _load(rows: int) -> None:
    empty()
    with in_bulk():
        load_states(completed=rows, pending=rows, failed=rows)
    settle_down()
    keep()


def _by_hand(*statements: str, put: bool = True) -> float:
    import psycopg

    if put:
        put_back()
    with psycopg.connect(conninfo()) as connection:
        began = time.perf_counter()
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        return time.perf_counter() - began


def _ours(name: str, put: bool = True) -> float:
    from apps.actions import pacing, running
    from apps.actions.actors import SYSTEM
    from apps.actions.selections import Selection
    from apps.operations.models import PendingOperation

    if put:
        put_back()
    verb: Any = getattr(PendingOperation, name)
    selection = Selection.matching(PendingOperation, {"status": "failed"})
    began = time.perf_counter()
    record = running.run(verb, selection, SYSTEM, given=GIVEN[name])
    _asked.append((time.perf_counter() - began) * 1000)
    for _progress in pacing.drive(record):
        pass
    return time.perf_counter() - began


if __name__ == "__main__":
    frame.main(path, __doc__)
