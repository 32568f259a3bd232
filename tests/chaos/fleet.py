"""Real workers: Celery nodes with pool children, a ticker and a beat, and the ways to kill them."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from django.conf import settings

from opsconsole import processes
from opsconsole.processes import Program
from tests.chaos.world import World

PATIENCE_SECONDS = 180


@dataclass
class Node:
    """A Celery node, or the beat: a process group of its own."""

    program: Program
    process: subprocess.Popen[bytes]

    @property
    def children(self) -> list[int]:
        """Its pool's processes."""
        with contextlib.suppress(FileNotFoundError):
            pid = self.process.pid
            return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []

    def restart(self, number: signal.Signals) -> None:
        """Stop it as our supervisor does, beginning with this signal, and start it anew."""
        processes.stop(self.process, replace(self.program, stop_signal=number))
        self.process = processes.start(self.program)


class Fleet:
    """`nodes` carry drains and jobs; the ticker and the beat are apart, as in production."""

    def __init__(
        self,
        world: World,
        logs: Path,
        nodes: int = 2,
        children: int = 2,
        beats: int = 1,
        app: str = "opsconsole",
        **env: str,
    ) -> None:
        self.logs, self.env = logs, world.env | env
        self.ended = 0
        self.stopped: list[tuple[float, int]] = []
        self.nodes = [
            self._start(*_worker(app, f"node{n}", "drains,jobs", children), name=f"node{n}") for n in range(nodes)
        ]
        self.ticker = self._start(*_worker(app, "ticker", "ticks", 1), name="ticker")
        self.beats = [
            self._start("-A", app, "beat", "--pidfile=", "--loglevel", "WARNING", name=f"beat{n}") for n in range(beats)
        ]

    def _start(self, *argv: str, name: str) -> Node:
        program = Program(
            name=name,
            argv=[sys.executable, "-m", "celery", *argv],
            env=self.env,
            log=self.logs / f"{name}.log",
            cwd=settings.BASE_DIR,
            grace_seconds=30,
        )
        return Node(program, processes.start(program))

    @property
    def all(self) -> list[Node]:
        return [*self.nodes, self.ticker, *self.beats]

    def kill_node(self, node: Node) -> None:
        """kill -9 of the whole group at once, and a new one in its place."""
        processes.end(node.process)
        node.process = processes.start(node.program)

    def kill_children(self, *children: int) -> None:
        for child in children:
            _send(child, signal.SIGKILL)

    def pause(self, child: int, seconds: float = 8) -> None:
        """SIGSTOP; `wake_sleepers` lets it go on when its time is over."""
        _send(child, signal.SIGSTOP)
        self.stopped.append((time.monotonic() + seconds, child))

    def wake_sleepers(self) -> None:
        now = time.monotonic()
        for _until, child in [sleeper for sleeper in self.stopped if sleeper[0] <= now]:
            _send(child, signal.SIGCONT)
        self.stopped = [sleeper for sleeper in self.stopped if sleeper[0] > now]

    def tend(self) -> None:
        """Start again what ended by itself, as the supervisor does, and count it.

        A node ends where its children are killed before they had all begun.
        """
        for node in self.all:
            if node.process.poll() is not None:
                self.ended += 1
                self.kill_node(node)

    def close(self) -> None:
        for _until, child in self.stopped:
            _send(child, signal.SIGCONT)
        for node in self.all:
            processes.end(node.process)


@dataclass
class Killer:
    """Strikes at random; its choices come from a number that is printed."""

    fleet: Fleet
    seed: int
    kills: int = 0
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311 # no secret

    def strike(self) -> list[int]:
        """A whole node, or two pool children, or a child that sleeps for longer than its lease; return whom it hit."""
        self.kills += 1
        how = self.dice.choice(["node", "children", "pause"])
        children = [child for node in self.fleet.nodes for child in node.children]
        if how == "node" or len(children) < 2:
            node = self.dice.choice(self.fleet.all)
            victims = node.children
            self.fleet.kill_node(node)
        elif how == "children":
            victims = self.dice.sample(children, 2)
            self.fleet.kill_children(*victims)
        else:
            victims = [self.dice.choice(children)]
            self.fleet.pause(victims[0])
        return victims


def next_strike(strikes: int, of: int, work: int, over: float = 0.5) -> float:
    """Return how much of the work is done when the next strike is due: they are spread over so much of it.

    That is its first half, where nothing sets the pace: a test that is held up would find the work over before the last.
    """
    return work * over * strikes / of


def until(reached: Callable[[], bool], seconds: float = PATIENCE_SECONDS, each: float = 0.1) -> Iterator[None]:
    """Go round until it is reached; after `seconds` the test has failed."""
    ends = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < ends, f"not reached within {seconds} s"
        yield
        time.sleep(each)


def wait_until(reached: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    for _round in until(reached, seconds):
        pass


def _worker(app: str, name: str, queue: str, children: int) -> tuple[str, ...]:
    return (
        *("-A", app, "worker", "--queues", queue, "--concurrency", str(children), "--hostname", f"{name}@%h"),
        *("--without-mingle", "--without-gossip", "--loglevel", "WARNING"),
    )


def _send(pid: int, number: signal.Signals) -> None:
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
