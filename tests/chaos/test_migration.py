"""R27: a new version's migrations run while work goes on. What must wait for a table lets others go first."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from django.conf import settings

from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.chaos.callers import Callers
from tests.chaos.fleet import Fleet, wait_until
from tests.chaos.score import Score, scored
from tests.chaos.test_pile_up import session_of
from tests.chaos.web import Web
from tests.chaos.world import World
from tests.simulator_process import Simulator

GIVES_WAY = "A table is in use: others go first"
LONGEST_WAIT = """
SELECT coalesce(extract(epoch FROM max(clock_timestamp() - waitstart)), 0) FROM pg_locks
WHERE NOT granted AND locktype <> 'virtualxid'
"""

IN_LINE = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'operations_attempt'::regclass"


class Waits:
    """Looks twenty times a second how long anybody has been waiting for a lock."""

    def __init__(self) -> None:
        self.longest_seconds, self._stop = 0.0, threading.Event()

    @contextmanager
    def watched(self) -> Iterator[None]:
        thread = threading.Thread(target=self._look_on)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(10)

    def _look_on(self) -> None:
        with session_of() as session:
            session.autocommit = True
            while not self._stop.wait(0.05):
                [seconds] = session.execute(LONGEST_WAIT).fetchone() or [0]
                self.longest_seconds = max(self.longest_seconds, float(seconds))


@contextmanager
def in_use(mode: str) -> Iterator[psycopg.Connection]:
    """A report reads the operations, or an import writes some, in one long transaction."""
    with session_of() as session:
        session.execute(f"LOCK TABLE operations_pendingoperation IN {mode} MODE")  # a word of ours
        yield session
        session.rollback()


def migrate(world: World, target: str, gives_way_to: str = "") -> str:
    """Run our `migrate` as a deploy does; where a lock stands in its way, that is let go once it gave way."""
    env = world.env | {"DJANGO_SETTINGS_MODULE": "tests.chaos.expanding"}
    argv = [sys.executable, "-u", "manage.py", "migrate", "expansion", target]
    with subprocess.Popen(argv, cwd=settings.BASE_DIR, env=env, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 # our own command
        assert process.stdout
        said = ""
        if gives_way_to:
            with in_use(gives_way_to):
                while GIVES_WAY not in said:
                    line = process.stdout.readline()
                    assert line, said
                    said += line
        said += process.stdout.read()
    assert process.returncode == 0, said
    return said


@pytest.fixture
def unexpanded(world: World) -> Iterator[World]:
    yield world
    migrate(world, "zero")


def test_a_migration_under_load_fails_no_operation(
    unexpanded: World,
    simulator: Simulator,
    erp: Service,
    queue: Queue,
    web: Web,
    fleet_of: Callable[..., Fleet],
    report: Callable[[Score], Score],
) -> None:
    fleet, waits = fleet_of(), Waits()
    with waits.watched(), Callers(web, threads=2) as callers:
        wait_until(lambda: PendingOperation.objects.filter(status="completed").exists())
        migrate(unexpanded, "0001", gives_way_to="ACCESS SHARE")
        migrate(unexpanded, "0002", gives_way_to="ROW EXCLUSIVE")
    wait_until(lambda: not PendingOperation.objects.exclude(status="completed").exists())
    score = report(scored("migrations under load", PendingOperation.objects.count(), simulator))
    score.notes = [f"nobody waited longer than {waits.longest_seconds:.1f} s for a lock"]
    assert set(callers.answers) == {202}
    assert (score.completed, score.dead_letters, fleet.ended) == (len(callers.acknowledged), 0, 0)
    assert waits.longest_seconds < 2


def test_an_index_that_gave_way_is_built_anew(unexpanded: World) -> None:
    migrate(unexpanded, "0001")
    migrate(unexpanded, "0002", gives_way_to="ROW EXCLUSIVE")
    with session_of() as session:
        sql = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'operation_expanded'::regclass"
        assert session.execute(sql).fetchone() == (True,)


def test_a_migration_that_others_meet_head_on_gives_way(unexpanded: World) -> None:
    with session_of() as session, session_of() as looking, ThreadPoolExecutor() as pool:
        session.execute("LOCK TABLE operations_attempt IN ROW EXCLUSIVE MODE")
        migrating = pool.submit(migrate, unexpanded, "0001")
        wait_until(lambda: looking.execute(IN_LINE).fetchone() == (1,))
        session.execute("LOCK TABLE operations_pendingoperation IN ROW EXCLUSIVE MODE")  # which the migration has
        session.rollback()
        assert GIVES_WAY in migrating.result()
