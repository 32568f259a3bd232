import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from opsconsole.processes import free_port
from tests.opsconsole.machine import PACKAGES, Machine, gone, machine

READY = "Ctrl-C stops everything"
PLAIN_USER = "daemon"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    data = tmp_path_factory.mktemp("with a space") / ("and a long name " * 8).strip() / "data"
    with machine(data) as up:
        up.hear(READY)
        yield up


def test_up_prints_a_link_that_offers_to_sign_in(running: Machine) -> None:
    link = next(line for line in running.said if "/sign-in/" in line).split()[-1]
    assert "admin" in requests.get(link, timeout=10).text


def test_up_prints_the_password_and_the_key_it_keeps(running: Machine) -> None:
    kept = [(running.data / name).read_text().strip() for name in ("admin-password", "demo-api-key")]
    assert all(secret in "".join(running.said) for secret in kept)


def test_only_the_owner_may_read_the_data_folder(running: Machine) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in running.data.iterdir()}
    assert stat.S_IMODE(running.data.stat().st_mode) == 0o700
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}


def test_a_second_start_on_the_same_data_is_refused(running: Machine) -> None:
    second = Machine(running.data, free_port())
    assert f"already runs on {running.data} (process {running.process.pid})" in second.last_words()
    assert second.process.returncode == 1


def test_a_busy_port_is_named_with_the_variable_to_change_it(running: Machine, tmp_path: Path) -> None:
    words = Machine(tmp_path, running.port).last_words()
    assert f"Port {running.port} cannot be used" in words
    assert f"OPS_PORT={running.port + 1}" in words


def test_a_web_process_that_is_killed_starts_again(running: Machine) -> None:
    running.kill("gunicorn")
    assert "killed by SIGKILL" in running.hear("web stopped")
    assert requests.get(f"http://localhost:{running.port}/admin/login/", timeout=30).ok


def test_kill_9_leaves_no_orphan_and_the_next_start_works(running: Machine) -> None:
    """The last of those that look at it: it ends here."""
    orphans = running.below()
    running.end(signal.SIGKILL)
    with machine(running.data, running.port) as next_one:
        next_one.hear(READY)
        assert [path for path in orphans if not gone(path)] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; the other tests ran as this one")
def test_a_plain_user_runs_it_and_ctrl_c_stops_it() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        shutil.chown(folder, PLAIN_USER, PLAIN_USER)
        with machine(Path(folder, "data"), python=_python_for_others(), user=PLAIN_USER) as up:
            up.hear(READY)
            below = up.below()
            assert "Stopped." in up.end()
            assert [path for path in below if not gone(path)] == []


def _python_for_others() -> str:
    """Return an interpreter that a plain user may enter: ours may stand in root's home."""
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        probe, found = [python, "-c", "import django, redis"], {"PYTHONPATH": PACKAGES}
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            subprocess.run(probe, user=PLAIN_USER, cwd="/", env=found, check=True, stderr=-3)  # noqa: S603
            return python
    pytest.skip("no interpreter here that a plain user may run")
