"""Many connections that come at once are shared out among gunicorn's workers."""

import http.client
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from django.conf import settings

from opsconsole import processes
from opsconsole.development import GUNICORN
from opsconsole.processes import Program
from tests.chaos.fleet import wait_until

TELLS_WHO = """
import os
def application(environ, start):
    start("200 OK", [("Content-Length", "8")])
    return [str(os.getpid()).rjust(8).encode()]
"""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "tells.py").write_text(TELLS_WHO)
    bound = f"127.0.0.1:{processes.free_port()}"
    argv = [sys.executable, "-m", "gunicorn", "tells", "--bind", bound, "--pythonpath", str(tmp_path), *GUNICORN]
    program = Program(name="web", argv=argv, env={}, log=tmp_path / "web.log", cwd=settings.BASE_DIR)
    process = processes.start(program)
    try:
        yield bound
    finally:
        processes.stop(process, program)


@contextmanager
def connected(address: str, count: int) -> Iterator[list[http.client.HTTPConnection]]:
    with ExitStack() as opened:
        yield [opened.enter_context(closing(http.client.HTTPConnection(address, timeout=10))) for _each in range(count)]


def who_answers(connections: list[http.client.HTTPConnection]) -> Counter[bytes]:
    for connection in connections:
        connection.request("GET", "/")
    return Counter(connection.getresponse().read() for connection in connections)


def workers_seen(address: str) -> int:
    try:
        with connected(address, 8) as connections:
            return len(who_answers(connections))
    except OSError:
        return 0


def test_every_worker_takes_its_share_of_connections_that_are_kept(address: str) -> None:
    wait_until(lambda: workers_seen(address) == 2, 30)
    with connected(address, 32) as connections:
        first = who_answers(connections)
        assert min(first.values()) >= 8, first
        assert who_answers(connections) == first
