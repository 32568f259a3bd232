"""One round of one peer: a database of its own, its operations handed in, its workers run until all is recorded."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from benchmarks.peers.installing import HERE
from opsconsole import processes
from opsconsole.processes import Program

DATABASE, REDIS_DATABASE = "peer", 15
PATIENCE_SECONDS = 120
OUTCOMES = """
CREATE TABLE outcome (id bigint PRIMARY KEY, status text NOT NULL, status_code int, completed_at timestamptz);
INSERT INTO outcome (id, status) SELECT number, 'pending' FROM generate_series(1, %s::int) AS number
"""
RATE = "SELECT count(*) / extract(epoch FROM max(completed_at) - min(completed_at))::float8 FROM outcome"


@dataclass(frozen=True)
class Peer:
    """Somebody who does the same job: how operations are handed in, and how many workers of which kind are started."""

    name: str
    enqueue: Sequence[str]
    worker: Sequence[str]
    workers: int
    pace: float
    """About how many thousand operations a second: a round hands in so many times what it was asked for."""


@dataclass(frozen=True)
class Setting:
    """What everybody has in common: the servers, the far end, what is sent, and where the peers' programs are."""

    database: str
    redis_url: str
    env: Mapping[str, str]


def rate(peer: Peer, setting: Setting, count: int) -> float:
    """Return the operations per second, from the first outcome on record to the last."""
    count = max(int(count * peer.pace), 100)
    with ExitStack() as stack:
        database = stack.enter_context(_database(setting.database))
        env = {**setting.env, **_libpq(database), "REDIS_URL": stack.enter_context(_redis(setting.redis_url))}
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with psycopg.connect(database, autocommit=True) as db:
            _hand_in(peer, db, env, count)
            with _workers(peer, env, logs) as workers:
                _wait(peer, db, workers, logs)
            return float(_one(db, RATE))


@contextmanager
def _database(server: str) -> Iterator[str]:
    """Make a database of its own, that knows nothing of earlier rounds."""
    with psycopg.connect(server, autocommit=True) as db:
        db.execute(f"CREATE DATABASE {DATABASE}")
        try:
            yield make_conninfo(server, dbname=DATABASE)
        finally:
            db.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


@contextmanager
def _redis(url: str) -> Iterator[str]:
    own = url.partition("?")[0] + f"?db={REDIS_DATABASE}"
    yield own
    with redis.Redis.from_url(own) as client:
        client.flushdb()


def _libpq(database: str) -> dict[str, str]:
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    told = conninfo_to_dict(database)
    return {variable: str(told[name]) for name, variable in names.items() if name in told}


def _hand_in(peer: Peer, db: psycopg.Connection[Any], env: Mapping[str, str], count: int) -> None:
    with psycopg.ClientCursor(db) as cursor:  # two statements at once take no parameters of the server's
        cursor.execute(OUTCOMES, [count])
    words = [*peer.enqueue, str(count)]
    done = subprocess.run(words, check=False, env=env, cwd=HERE / "workers", capture_output=True, text=True)  # noqa: S603 # ours
    if done.returncode:
        raise SystemExit(f"{peer.name} takes no operations: {done.stderr[-3000:]}")
    db.execute("VACUUM ANALYZE")


@contextmanager
def _workers(peer: Peer, env: Mapping[str, str], logs: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    with ExitStack() as stack:
        started = []
        for number in range(peer.workers):
            program = Program(peer.name, peer.worker, env, logs / f"{number}.log", HERE / "workers", grace_seconds=5)
            started.append(processes.start(program))
            stack.callback(processes.stop, started[-1], program)
        yield started


def _wait(peer: Peer, db: psycopg.Connection[Any], workers: Sequence[subprocess.Popen[bytes]], logs: Path) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while _one(db, "SELECT EXISTS (SELECT FROM outcome WHERE completed_at IS NULL)"):
        if time.monotonic() > ends or any(worker.poll() is not None for worker in workers):
            told = "".join(log.read_text(errors="replace")[-1500:] for log in sorted(logs.iterdir()))
            raise SystemExit(f"{peer.name} does not finish: {told}")
        time.sleep(0.2)


def _one(db: psycopg.Connection[Any], sql: str) -> Any:
    row = db.execute(sql).fetchone()
    return row[0] if row else None


def environment(programs: Path, packages: Path | None, target: str, payload: str) -> dict[str, str]:
    """Return what every program of a peer is told, beside the servers."""
    path = [str(programs), *os.environ.get("PATH", os.defpath).split(os.pathsep)]
    return {
        "PATH": os.pathsep.join(path),
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": str(HERE / "workers"),
        "NODE_PATH": str(packages or ""),
        "NODE_ENV": "production",
        "DJANGO_SETTINGS_MODULE": "django_peer.settings",
        "TARGET": target,
        "PAYLOAD": payload,
    }
