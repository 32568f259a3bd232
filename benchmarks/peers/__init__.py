"""Everybody who does the same job: take an operation from a queue, POST it to the far end, record the outcome."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from benchmarks.peers import installing
from benchmarks.peers.running import Peer, Setting, environment, rate

CELERY = "celery -A celery_peer worker --without-gossip --without-mingle --without-heartbeat --loglevel WARNING"
PROCRASTINATE = "procrastinate -a procrastinate_peer.app worker -c 20 --delete-jobs successful"
HUEY = "huey_consumer huey_peer.huey -k thread -w 8 --quiet"


def _python(name: str, module: str, worker: str, workers: int, pace: float) -> Peer:
    return Peer(name, ["python", "enqueue.py", module], worker.split(), workers, pace)


def _node(name: str, program: str, workers: int, pace: float) -> Peer:
    return Peer(name, ["node", program], ["node", program], workers, pace)


PYTHON = [
    _python("Celery, threads", "celery_peer", f"{CELERY} -P threads -c 8", 2, 0.7),
    _python("dramatiq", "dramatiq_peer", "dramatiq dramatiq_peer -p 2 -t 8", 1, 1.3),
    _python("huey, threads", "huey_peer", HUEY, 2, 1.4),
    _python("procrastinate", "procrastinate_peer", PROCRASTINATE, 2, 0.7),
    _python("pgqueuer", "pgqueuer_peer", "python pgqueuer_peer.py", 2, 3),
    _python("django-tasks-db", "django_tasks_db_peer", "django-admin db_worker --no-startup-delay -v 0", 2, 0.35),
]
NODE = [
    _node("BullMQ", "bullmq_peer.cjs", 2, 2.5),
    _node("graphile-worker", "graphile_worker_peer.cjs", 2, 3.5),
]


def contenders(
    database: str, redis_url: str, target: str, payload: Mapping[str, Any], count: int
) -> dict[str, Callable[[], float]]:
    """Return what measures each peer: how many operations a second it delivers.

    `database` is in libpq's words. Who does a thousand a second is handed `count` operations, so that all take as long.
    """
    programs, packages = installing.python(), installing.node()
    setting = Setting(database, redis_url, environment(programs, packages, target, json.dumps(payload)))
    peers = PYTHON + (NODE if packages else [])
    return {peer.name: partial(rate, peer, setting, count) for peer in peers}


def notes() -> list[str]:
    """Say who is left out, and why."""
    oldest = ".".join(map(str, installing.OLDEST_NODE))
    named = " and ".join(peer.name for peer in NODE)
    return [] if installing.node() else [f"{named} are left out: there is no Node {oldest} or newer."]
