"""Taking in one by one: events and operations through gunicorn as it is shipped, beside a bare Django view with one INSERT.

All under the same gunicorn, 32 connections that are kept, the same servers. The bare view stores the same row in the same
table and checks nothing. The console checks the key, counts the request against two limits in Valkey, reads the JSON
strictly, looks for a duplicate, masks headers, keeps a line of the log and wakes a worker.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks import bare_web
from benchmarks.accounting import cost
from benchmarks.frame import Path, Target, main
from benchmarks.ground import execute, ground
from benchmarks.load import SEQUENCE, Load, send
from benchmarks.web import BARE, SECRET, SHIPPED, senders, web

EVENTS, OPERATIONS = "integrations_integrationevent", "operations_pendingoperation"
DATA = {"name": "Ana", "note": "x" * 200}
EVENT = json.dumps(
    {"source_system": "site", "event_type": "lead.created", "event_id": SEQUENCE, "subject": "lead-1", "payload": DATA}
)
WEBHOOK = json.dumps({"type": "lead.created", "timestamp": "2026-01-31T18:00:00Z", "data": DATA})
OPERATION = json.dumps(
    {"operation_type": "http.post", "service": "erp", "queue": "books", "entity_id": SEQUENCE, "payload": DATA}
)


@contextmanager
def path(quick: bool) -> Iterator[Path]:
    """Run both sites; give the path."""
    seconds = 2.0 if quick else 8.0
    with site() as (ours, key), web(BARE, "/") as bare:
        found = _path(ours, bare, key, seconds)
        _warm(found)
        yield found


@contextmanager
def site() -> Iterator[tuple[str, dict[str, str]]]:
    """Run the web as it is shipped, with the one event that others are made like; give its address, and who hands in."""
    with ground():
        key = {"X-API-Key": senders()}
        with web(SHIPPED) as ours:
            send(Load(f"{ours}/api/events", EVENT.replace(SEQUENCE, bare_web.LIKE), key, 0.0, 1))
            yield ours, key


def _path(ours: str, bare: str, key: dict[str, str], seconds: float) -> Path:
    found = Path(
        slug="intake",
        title="Taking in, one in each request, 32 connections",
        unit="requests/s",
        contenders={},
        targets=[Target("events in, single, of a bare view", EVENT_IN, VIEW, 0.6, 0.8)],
    )
    loads = {
        EVENT_IN: Load(f"{ours}/api/events", EVENT, key, seconds),
        DOOR: Load(f"{ours}/webhook/signed", WEBHOOK, seconds=seconds, secret=SECRET),
        OPERATION_IN: Load(f"{ours}/api/pending-operations", OPERATION, key, seconds),
        VIEW: Load(f"{bare}/events", EVENT, seconds=seconds),
    }
    contenders = {name: partial(_rate, found, name, load) for name, load in loads.items()}
    return Path(**{**vars(found), "contenders": contenders | {LOOP: partial(_loop, seconds)}})


EVENT_IN, DOOR, OPERATION_IN = "events, API key", "events, signed webhook", "operations, API key"
VIEW, LOOP = "bare Django view, one INSERT", "bare psycopg loop, one INSERT and commit each, one connection"


def _warm(path: Path) -> None:
    """Let every process and connection do its first work before anything is measured."""
    for contender in path.contenders.values():
        contender()
    path.notes.clear()


def _rate(path: Path, name: str, load: Load) -> float:
    _empty()
    with cost() as used:
        answered = send(load)
    path.notes.append(f"{name}: {answered.times}; each {used.told(answered.count)}.")
    return answered.rate


def _loop(seconds: float) -> float:
    from django.db import connection

    _empty()
    with connection.cursor() as cursor:
        statement, row = bare_web.insertion(cursor)
        began, number = time.perf_counter(), 0
        while time.perf_counter() < began + seconds:
            number += 1
            body = EVENT.replace(SEQUENCE, f"{began}-{number}").encode()
            cursor.execute(statement, bare_web.values(row, body))
        return number / (time.perf_counter() - began)


def _empty() -> None:
    """Leave the one event that others are made like, and nothing for the server to tidy up beside the next who is measured."""
    execute(f"DELETE FROM {EVENTS} WHERE event_id <> %s", [bare_web.LIKE])  # noqa: S608 # ours
    execute(f"TRUNCATE {OPERATIONS}, operations_tally, operations_flow, jobs_logline CASCADE")
    execute(f"VACUUM ANALYZE {EVENTS}")
    execute("CHECKPOINT")


if __name__ == "__main__":
    main(path, __doc__)
