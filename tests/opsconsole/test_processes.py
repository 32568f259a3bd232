import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import redis
from django.conf import settings

from opsconsole import processes
from opsconsole.processes import Program
from tests.opsconsole.machine import PATIENCE_SECONDS, gone, wait_until
from tests.opsconsole.slow import slow

PARENT = """
import os, pathlib, sys, time
from opsconsole import processes
sleep = processes.Program("sleep", ["/bin/sleep", "600"], {}, pathlib.Path(sys.argv[1], "log"))
print(processes.start(sleep).pid, flush=True)
time.sleep(600)
"""


def test_a_worker_asked_to_stop_finishes_its_task(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "celery", "-A", "tests.opsconsole.slow", "worker", "--concurrency", "1", "-Q", "slow"]
    worker = Program("worker", argv, os.environ, tmp_path / "worker.log", cwd=settings.BASE_DIR, grace_seconds=30)
    process = processes.start(worker)
    with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2 * PATIENCE_SECONDS) as marks:
        slow.apply_async(queue="slow")
        assert marks.blpop(["said"], timeout=PATIENCE_SECONDS)

        def let_go_when_it_stops() -> None:
            wait_until(lambda: "Warm shutdown" in worker.log.read_text())
            marks.rpush("go", "now")

        threading.Thread(target=let_go_when_it_stops).start()
        processes.stop(process, worker)
        assert marks.lpop("said") == b"done"


@pytest.mark.skipif(sys.platform != "linux", reason="only the Linux kernel ties children to their parent")
def test_a_child_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, tmp_path], cwd=settings.BASE_DIR, stdout=-1) as parent:  # noqa: S603
        assert parent.stdout
        child = Path("/proc", parent.stdout.readline().decode().strip())
        assert child.exists()
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: gone(child))


def test_a_log_that_has_grown_large_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LARGEST_LOG", 3)
    echo = Program("echo", ["/bin/echo", "words"], {}, tmp_path / "logs" / "echo.log")
    for _again in range(2):
        process = processes.start(echo)
        process.wait()
    assert sorted(path.name for path in echo.log.parent.iterdir()) == ["echo.log", "echo.old.log"]
