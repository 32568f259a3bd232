import os
import signal
import threading
from pathlib import Path

from opsconsole.processes import Program
from opsconsole.supervisor import Supervisor
from tests.opsconsole.machine import wait_until


def shell(folder: Path, name: str, script: str) -> Program:
    return Program(name, ["/bin/sh", "-c", script], {"PATH": os.environ["PATH"]}, folder / f"{name}.log", cwd=folder)


def test_a_program_that_stops_is_started_again_and_said_so(tmp_path: Path) -> None:
    said: list[str] = []
    with Supervisor(said.append) as supervisor:
        supervisor.start(shell(tmp_path, "web", "echo start >> starts; exit 3"))
        supervisor.tend(until=lambda: len(said) == 2)
    assert said[0].startswith("web stopped (exit code 3). It starts again in 1 s.")
    assert (tmp_path / "starts").read_text() == "start\nstart\n"


def test_it_waits_longer_from_stop_to_stop(tmp_path: Path) -> None:
    said: list[str] = []
    with Supervisor(said.append) as supervisor:
        supervisor.start(shell(tmp_path, "web", "exit 3"))
        supervisor.tend(until=lambda: len(said) == 2)
    assert "starts again in 2 s" in said[1]


def test_programs_stop_in_the_opposite_order(tmp_path: Path) -> None:
    with Supervisor(print) as supervisor:
        for name in ("database", "web"):
            script = f"trap 'echo {name} >> order; exit' TERM; touch {name}; while :; do sleep 0.02; done"
            supervisor.start(shell(tmp_path, name, script))
            wait_until((tmp_path / name).exists)
    assert (tmp_path / "order").read_text() == "web\ndatabase\n"


def test_what_a_crashed_parent_left_behind_ends_with_it(tmp_path: Path) -> None:
    said: list[str] = []
    with Supervisor(said.append) as supervisor:
        supervisor.start(shell(tmp_path, "web", "sleep 600 & echo $! > child; exit 1"))
        supervisor.tend(until=lambda: bool(said))
        child = Path("/proc", (tmp_path / "child").read_text().strip())
        wait_until(lambda: not child.exists() or "Z (zombie)" in (child / "status").read_text())


def test_a_second_ctrl_c_ends_what_takes_its_time(tmp_path: Path) -> None:
    def press_when_asked() -> None:
        wait_until((tmp_path / "asked").exists)
        os.kill(os.getpid(), signal.SIGINT)

    with Supervisor(print) as supervisor:
        slow = supervisor.start(
            shell(tmp_path, "worker", "trap 'touch asked' TERM; touch ready; while :; do sleep 0.02; done")
        )
        wait_until((tmp_path / "ready").exists)
        threading.Thread(target=press_when_asked).start()
    assert slow.returncode == -signal.SIGKILL
