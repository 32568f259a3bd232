"""Taking in many at once: requests of 500 events, and of 500 operations, beside COPY of the same rows into the same tables.

The requests pass the web as it is shipped, from four connections that are kept. COPY is what psycopg can do at best: one
connection, 500 rows and a commit at a time, values that are ready and checked by nobody. It pays for the same indexes
and triggers.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks import bare_web
from benchmarks.accounting import cost, disk
from benchmarks.frame import Path, Target, main
from benchmarks.ground import execute
from benchmarks.intake import EVENT, EVENTS, OPERATION, OPERATIONS, site
from benchmarks.load import SEQUENCE, Load, send

MANY, CONNECTIONS = 500, 4
EVENTS_IN, EVENTS_COPIED = "events, 500 in a request", "bare COPY of the same events"
OPERATIONS_IN, OPERATIONS_COPIED = "operations, 500 in a request", "bare COPY of the same operations"


@contextmanager
def path(quick: bool) -> Iterator[Path]:
    """Run the site; give the path."""
    seconds = 2.0 if quick else 10.0
    with site() as (ours, key):
        loads = [
            Load(f"{ours}/api/events/bulk", EVENT, key, seconds, CONNECTIONS, "events", MANY),
            Load(f"{ours}/api/pending-operations/bulk", OPERATION, key, seconds, CONNECTIONS, "operations", MANY),
        ]
        for load in loads:
            send(load)
        yield _path(loads, seconds)


def _path(loads: Sequence[Load], seconds: float) -> Path:
    notes = list[str]()
    return Path(
        slug="bulk_intake",
        title="Taking in, 500 in each request, 4 connections",
        unit="rows/s",
        contenders={
            EVENTS_IN: partial(_rate, notes, EVENTS_IN, loads[0], EVENTS),
            EVENTS_COPIED: partial(_copied, EVENTS, seconds, _another_event),
            OPERATIONS_IN: partial(_rate, notes, OPERATIONS_IN, loads[1], OPERATIONS),
            OPERATIONS_COPIED: partial(_copied, OPERATIONS, seconds, _another_operation),
        },
        targets=[
            Target("events in, bulk of 500, of bare COPY", EVENTS_IN, EVENTS_COPIED, 0.25, 0.5),
            Target("operations in, bulk of 500, of bare COPY", OPERATIONS_IN, OPERATIONS_COPIED, 0.25, 0.5),
        ],
        notes=notes,
    )


def _rate(notes: list[str], name: str, load: Load, table: str) -> float:
    _empty()
    with cost() as used:
        answered = send(load)
    rows = answered.count * MANY
    notes.append(
        f"{name}: {answered.times} a request; each row {used.told(rows)}, rows + indexes {disk([table], rows)} bytes."
    )
    return answered.rate * MANY


Another = Callable[[dict[str, Any], str], dict[str, Any]]


def _copied(table: str, seconds: float, another: Another) -> float:
    """COPY rows like one that the console stored, of another id each."""
    from django.db import connection

    _empty()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} LIMIT 1")  # noqa: S608 # ours
        names = [column.name for column in cursor.description]
        like = dict(zip(names, cursor.fetchone(), strict=True))
        statement, batches = f"COPY {table} ({', '.join(names)}) FROM STDIN", 0
        took = 0.0
        while took < seconds:
            rows = [list(another(like, f"{table}-{batches}-{number}").values()) for number in range(MANY)]
            began = time.perf_counter()
            _copy(cursor, statement, rows)
            took += time.perf_counter() - began
            batches += 1
    return batches * MANY / took


def _copy(cursor: Any, statement: str, rows: Sequence[list[Any]]) -> None:
    with cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _another_event(like: dict[str, Any], name: str) -> dict[str, Any]:
    body = EVENT.replace(SEQUENCE, name).encode()
    return bare_web.values(like, body)


def _another_operation(like: dict[str, Any], name: str) -> dict[str, Any]:
    from apps.actions.models import new_id

    return {**like, "id": new_id(), "entity_id": name, "payload": json.dumps(json.loads(OPERATION)["payload"])}


def _empty() -> None:
    """Leave one row of each, which others are made like."""
    for table in (EVENTS, OPERATIONS):
        execute(f"DELETE FROM {table} WHERE id > (SELECT id FROM {table} ORDER BY id LIMIT 1)")  # noqa: S608 # ours
    execute("TRUNCATE operations_tally, operations_flow, jobs_logline")
    execute(f"VACUUM ANALYZE {EVENTS}")
    execute(f"VACUUM ANALYZE {OPERATIONS}")


if __name__ == "__main__":
    main(path, __doc__)
