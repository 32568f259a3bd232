"""Wake-ups are a courtesy: a broker that is down costs one of them a moment, and never a request (R03)."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, Task

from apps.actions import tasks
from tests.chaos.fleet import wait_until


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A broker that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture(autouse=True)
def _first_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_quiet_until", 0.0)


def task_at(port: int) -> "Task[Any, Any]":
    """A task whose broker stands at a port of this machine."""
    app = Celery("elsewhere", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.update(broker_url=f"redis://127.0.0.1:{port}/0")

    @app.task
    def nothing() -> None:
        """Do nothing."""

    return nothing


def connections(server: socket.socket) -> int:
    """Take the connections that were made meanwhile, and count them."""
    taken = 0
    while True:
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return taken
        taken += 1


def test_a_broker_that_refuses_raises_nothing() -> None:
    tasks.wake(task_at(1))
    assert tasks._quiet_until > 0


def test_a_broker_that_is_silent_is_asked_once_and_then_left_alone(silent: socket.socket) -> None:
    task = task_at(silent.getsockname()[1])
    tasks.wake(task)
    assert connections(silent) >= 1
    tasks.wake(task)
    assert connections(silent) == 0


def test_after_a_while_the_broker_is_asked_again(silent: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_at(silent.getsockname()[1])
    tasks.wake(task)
    connections(silent)
    monkeypatch.setattr(tasks, "_quiet_until", 0.0)
    tasks.wake(task)
    assert connections(silent) >= 1


def test_what_many_requests_bring_wakes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(tasks, "wake", lambda task, *args: sent.append(args))
    monkeypatch.setattr(tasks, "TOGETHER_SECONDS", 0.1)
    together, task = tasks._Together(), task_at(1)
    for _ in range(50):
        together.wake(task, "crm")
    assert sent == [("crm",)]
    wait_until(lambda: len(sent) > 1, 5)
    assert sent == [("crm",), ("crm",)]


def test_another_queue_is_woken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(tasks, "wake", lambda task, *args: sent.append(args))
    together, task = tasks._Together(), task_at(1)
    together.wake(task, "crm")
    together.wake(task, "books")
    assert sent == [("crm",), ("books",)]
