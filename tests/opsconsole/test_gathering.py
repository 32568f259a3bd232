"""Work that nobody waits for is done a moment later, in its order, whatever becomes of a piece of it."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
from django.conf import settings

from opsconsole import gathering
from opsconsole.gathering import Gathering

Done = list[tuple[int, int]]


@pytest.fixture
def done() -> Done:
    """What was done, and by which thread."""
    return []


def noting(done: Done, number: int) -> Callable[[], None]:
    return lambda: done.append((number, threading.get_ident()))


def waited_for(work: Gathering) -> None:
    over = threading.Event()
    work.put(over.set)
    assert over.wait(10)


def test_it_is_done_by_another_thread_in_the_order_it_came(done: Done) -> None:
    work = Gathering()
    for number in range(3):
        work.put(noting(done, number))
    waited_for(work)
    assert [number for number, _thread in done] == [0, 1, 2]
    assert threading.get_ident() not in {thread for _number, thread in done}


def test_who_cannot_wait_has_it_done_at_once(done: Done) -> None:
    work = Gathering()
    work.put(noting(done, 0))
    work.flush()
    assert [number for number, _thread in done] == [0]


def test_a_piece_that_fails_keeps_no_other_back(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    work = Gathering()
    work.put(partial(done.remove, (9, 9)))
    work.put(noting(done, 1))
    work.flush()
    assert [number for number, _thread in done] == [1]
    assert "ValueError" in capsys.readouterr().err


def test_who_brings_one_too_many_does_them_all(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "MOMENT_SECONDS", 60)
    monkeypatch.setattr(gathering, "MOST", 3)
    work = Gathering()
    for number in range(3):
        work.put(noting(done, number))
    assert done == [(number, threading.get_ident()) for number in range(3)]


def test_many_who_come_at_once_have_one_thread_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    work, met, began, start = Gathering(), threading.Barrier(8), list[str](), threading.Thread.start

    def bring() -> None:
        met.wait(10)
        work.put(began.sort)

    def slowly(thread: threading.Thread) -> None:
        began.append(thread.name)
        time.sleep(0.01)
        start(thread)

    own = [threading.Thread(target=bring) for _each in range(8)]
    monkeypatch.setattr(threading.Thread, "start", slowly)
    for thread in own:
        start(thread)
    for thread in own:
        thread.join()
    assert began == ["gathering"]


def test_what_is_done_may_bring_more(done: Done) -> None:
    work = Gathering()
    work.put(lambda: work.put(noting(done, 1)))
    work.flush()
    assert [number for number, _thread in done] == [1]


FORKS = """
import os
from opsconsole.gathering import Gathering
work = Gathering()
work.put(lambda: print("the parent's", os.getpid() == parent, flush=True))
parent = os.getpid()
if os.fork() == 0:
    work.flush()
    work.put(lambda: os._exit(0))
    __import__("time").sleep(10)
    os._exit(1)
print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
work.flush()
"""


def test_a_fork_begins_with_nothing_and_a_thread_of_its_own() -> None:
    env = {**os.environ, "PYTHONPATH": str(settings.BASE_DIR)}
    told = subprocess.run([sys.executable, "-c", FORKS], env=env, capture_output=True, text=True, check=True)  # noqa: S603 # ours
    assert sorted(told.stdout.splitlines()) == ["0", "the parent's True"]
