"""Pauses that outlive everything, and real workers: restarted, scaled, and shown by a peer's tool (S1-73 to S1-79)."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from django.conf import settings
from django.db import connection

from apps.actions.running import run
from apps.integrations.models import Service
from apps.jobs.models import Process, Queue
from apps.jobs.models.process import live
from apps.operations.models import PendingOperation
from opsconsole import processes
from opsconsole.processes import Program
from tests.cast import ROOT
from tests.chaos.conftest import hand_in
from tests.chaos.fleet import Fleet, until, wait_until
from tests.chaos.score import Score, scored
from tests.chaos.world import World
from tests.contracts.world import one
from tests.simulator_process import Simulator

DRAIN = "apps.operations.tasks.drain"
SUPERVISED = {"OPS_SUPERVISOR": "these tests"}


def completed() -> int:
    return PendingOperation.objects.filter(status="completed").count()


def beating(kind: str) -> list[Process]:
    return list(live(kind))


def manage(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 # our own command
        [sys.executable, "manage.py", *words],
        env=world.env,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


def test_a_paused_queue_stays_paused_whatever_is_restarted_and_wiped(
    world: World,
    simulator: Simulator,
    erp: Service,
    queue: Queue,
    fleet_of: Callable[..., Fleet],
    report: Callable[[Score], Score],
) -> None:
    run(Queue.pause, one(Queue, queue), ROOT, given={"reason": "year-end closing"})
    hand_in(erp, queue, 40)
    fleet = fleet_of()
    wait_until(lambda: len(beating("worker")) == 2)
    world.kill_redis()
    world.wipe_redis()
    world.start_redis()
    for node in fleet.all:
        node.restart(signal.SIGTERM)
    world.crash_postgres()
    world.start_postgres()
    connection.close()  # ours did not survive either
    for _round in until(lambda: bool(beating("ticker")) and len(beating("worker")) == 2):
        fleet.tend()
    queue.refresh_from_db()
    assert (queue.status, queue.paused_reason, completed()) == ("paused", "year-end closing", 0)
    assert manage(world, "workers", "status").returncode == 1  # every queue is paused
    run(Queue.resume, one(Queue, queue), ROOT)
    for _round in until(lambda: completed() == 40):
        fleet.tend()  # the supervisor: beat does not outlive a database that went away
    score = report(scored("a queue paused, all restarted, Redis wiped", 40, simulator, kills=6))
    assert score.called_twice == 0


def test_workers_restart_in_order_and_lose_nothing(
    world: World, simulator: Simulator, erp: Service, queue: Queue, fleet_of: Callable[..., Fleet]
) -> None:
    fleet = fleet_of(**SUPERVISED)
    wait_until(lambda: len(beating("worker")) == 2 and bool(beating("ticker")))
    hand_in(erp, queue, 150)
    before = {row.name for row in live("worker", "ticker")}
    asked = subprocess.Popen(  # our own command
        [sys.executable, "manage.py", "workers", "restart"],
        env=world.env,
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        text=True,
    )
    for _round in until(lambda: asked.poll() is not None):
        fleet.tend()  # the supervisor
    said = asked.communicate()[0]
    wait_until(lambda: completed() == 150)
    assert (asked.returncode, said.count("is back as")) == (0, 3), said
    assert before.isdisjoint(row.name for row in live("worker", "ticker"))
    assert scored("restart", 150, simulator, kills=3).called_twice == 0


def test_workers_carry_more_or_less_at_once_while_they_run(
    world: World, erp: Service, queue: Queue, fleet_of: Callable[..., Fleet]
) -> None:
    fleet_of(nodes=1)
    wait_until(lambda: len(beating("worker")) == 1)
    said = [scaled(world, number) for number in (4, 1)]
    assert all("It lasts until the worker is started again" in words for words in said)


def scaled(world: World, number: int) -> str:
    """Let the only worker carry so much at once, and wait until it says so itself."""
    asked = manage(world, "workers", "scale", str(number))
    assert asked.returncode == 0, asked.stderr
    wait_until(lambda: [row.concurrency for row in beating("worker")] == [number])
    return asked.stdout


def test_a_worker_that_is_killed_is_silent_and_its_successor_takes_its_row(
    world: World, queue: Queue, fleet_of: Callable[..., Fleet]
) -> None:
    fleet = fleet_of(nodes=1)
    wait_until(lambda: len(beating("worker")) == 1)
    (killed,) = beating("worker")
    processes.end(fleet.nodes[0].process)
    wait_until(lambda: not beating("worker"))
    assert Process.objects.filter(pk=killed.pk).exists()
    assert manage(world, "workers", "status").returncode == 2
    fleet.tend()
    wait_until(lambda: len(beating("worker")) == 1 and not Process.objects.filter(pk=killed.pk).exists())


def test_a_process_that_ends_in_order_takes_its_row_along(
    world: World, queue: Queue, fleet_of: Callable[..., Fleet]
) -> None:
    fleet = fleet_of(nodes=1)
    wait_until(lambda: live("worker", "ticker", "beat").count() == 3)
    for node in fleet.all:
        processes.stop(node.process, node.program)
    assert not Process.objects.exists()


@contextmanager
def flower(world: World, logs: Path) -> Iterator[str]:
    """Flower beside our workers; gives its address."""
    port = processes.free_port()
    program = Program(
        name="flower",
        argv=[sys.executable, "-m", "celery", "-A", "opsconsole", "flower", "--address=127.0.0.1", f"--port={port}"],
        env=world.env | {"FLOWER_UNAUTHENTICATED_API": "true", "PATH": os.environ["PATH"]},
        log=logs / "flower.log",
        cwd=settings.BASE_DIR,
    )
    process = processes.start(program)
    try:
        yield f"http://127.0.0.1:{port}/api"
    finally:
        processes.end(process)


def asked(url: str) -> dict[str, object]:
    with requests.Session() as session:
        session.trust_env = False
        try:
            found: dict[str, object] = json.loads(session.get(url, timeout=10).text)
        except (requests.RequestException, ValueError):  # it is not up yet
            return {}
    return found


def test_flower_shows_our_workers_and_tasks(
    world: World, erp: Service, queue: Queue, fleet_of: Callable[..., Fleet], tmp_path: Path
) -> None:
    fleet_of(nodes=1)
    wait_until(lambda: len(beating("worker")) == 1)
    with flower(world, tmp_path) as api:
        wait_until(lambda: len(asked(f"{api}/workers")) == 2)
        # Flower asks for events when it has been up for some seconds.
        for number, _round in enumerate(until(lambda: DRAIN in json.dumps(asked(f"{api}/tasks")), each=1)):
            hand_in(erp, queue, 1, first=number)
        assert {str(node).partition("@")[0] for node in asked(f"{api}/workers")} == {"node0", "ticker"}
