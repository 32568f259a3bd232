"""The limit in Python: one process that claims in batches, calls over libcurl and writes in batches, and nothing else.

No leases, no history, no breaker, no masking: what is left when everything that makes a delivery safe is taken away.
"""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pycurl

TABLE = """
DROP TABLE IF EXISTS bare_operation;
CREATE TABLE bare_operation (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, status text NOT NULL, due_at timestamptz NOT NULL,
    payload text NOT NULL, status_code int, completed_at timestamptz);
INSERT INTO bare_operation (status, due_at, payload) SELECT 'pending', now(), %(payload)s FROM generate_series(1, %(count)s);
CREATE INDEX ON bare_operation (due_at, id) WHERE status = 'pending';
"""
CLAIM = """
UPDATE bare_operation SET status = 'processing' WHERE id = ANY(ARRAY(
    SELECT id FROM bare_operation WHERE status = 'pending' AND due_at <= now() ORDER BY due_at, id LIMIT %s FOR UPDATE SKIP LOCKED))
RETURNING id, payload
"""
FINISH = """
UPDATE bare_operation SET status = 'completed', status_code = done.code, completed_at = clock_timestamp()
  FROM unnest(%s::bigint[], %s::int[]) AS done(id, code) WHERE bare_operation.id = done.id
"""
BATCH, FLUSH = 500, 250


def rate(database: str, target: str, payload: str, count: int, in_flight: int) -> float:
    """Return the operations per second, from the first outcome on record to the last."""
    with psycopg.connect(database, autocommit=True) as db:
        with psycopg.ClientCursor(db) as cursor:  # several statements at once take no parameters of the server's
            cursor.execute(TABLE, {"payload": payload, "count": count})
        db.execute("VACUUM ANALYZE bare_operation")
        with _handles(target, in_flight) as (multi, idle):
            _deliver(db, multi, idle)
        row = db.execute(
            "SELECT count(*), extract(epoch FROM max(completed_at) - min(completed_at)) FROM bare_operation"
        )
        done, seconds = row.fetchone() or (0, 1)
        db.execute("DROP TABLE bare_operation")
    return float(done) / float(seconds)


def _deliver(db: psycopg.Connection[Any], multi: pycurl.CurlMulti, idle: list[pycurl.Curl]) -> None:
    waiting: list[tuple[int, str]] = []
    done: list[tuple[int, int]] = []
    busy, more = 0, True
    while more or busy or waiting:
        if more and len(waiting) < BATCH:
            claimed = db.execute(CLAIM, [BATCH]).fetchall()
            more, waiting = bool(claimed), waiting + claimed
        while waiting and idle:
            curl = idle.pop()
            curl.key, body = waiting.pop()
            curl.setopt(pycurl.POSTFIELDS, body)
            multi.add_handle(curl)
            busy += 1
        ended = _ended(multi)
        busy -= len(ended)
        done += [(curl.key, curl.getinfo(pycurl.RESPONSE_CODE)) for curl in ended]
        idle += ended
        if len(done) >= FLUSH or (done and not busy):
            db.execute(FINISH, [[key for key, _code in done], [code for _key, code in done]])
            done = []


def _ended(multi: pycurl.CurlMulti) -> list[pycurl.Curl]:
    multi.select(min(max(multi.timeout(), 0) / 1000, 0.05))
    multi.perform()
    _left, ended, broken = multi.info_read()
    if broken:
        raise SystemExit(f"The far end fails: {broken[0][2]}")
    for curl in ended:
        multi.remove_handle(curl)
    return ended


@contextmanager
def _handles(target: str, in_flight: int) -> Iterator[tuple[pycurl.CurlMulti, list[pycurl.Curl]]]:
    multi, handles = pycurl.CurlMulti(), [_handle(target) for _number in range(in_flight)]
    multi.setopt(pycurl.M_MAXCONNECTS, in_flight)
    yield multi, list(handles)
    multi.close()


def _handle(target: str) -> pycurl.Curl:
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, target)
    curl.setopt(pycurl.HTTPHEADER, ["Content-Type: application/json", "Expect:"])
    curl.setopt(pycurl.WRITEFUNCTION, io.BytesIO().write)
    curl.setopt(pycurl.NOSIGNAL, 1)
    return curl


def ideal(target: str, in_flight: int, seconds: float) -> float:
    """Return how many calls a second the bare handles alone make for so long, with no database at all."""
    with _handles(target, in_flight) as (multi, idle):
        for curl in idle:
            curl.setopt(pycurl.POSTFIELDS, "{}")
            multi.add_handle(curl)
        began, done = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            for curl in _ended(multi):
                done += 1
                multi.add_handle(curl)
        return done / (time.perf_counter() - began)
