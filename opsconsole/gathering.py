"""Does what nobody waits for a moment later, many pieces at once: the lines of the web's log.

What a request does once, it does in a cold cache and between other threads, at several times what it takes in a loop.
"""

import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable

MOMENT_SECONDS = 0.1
"""So much later it is done: what a process that is killed had put off so long is lost."""
MOST = 1_000
"""Where so many wait, the thread does not keep up: whoever brings one more does them all."""

Work = Callable[[], None]


class Gathering:
    """Work of every thread of a process, done by one thread in the order it came. A fork begins with an empty one."""

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._work: deque[Work] = deque()
        self._one_at_a_time = threading.RLock()  # what is done may have something to say itself
        self._some = threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, work: Work) -> None:
        """Let a piece be done soon; at once where too many wait, or no thread can be had."""
        self._work.append(work)
        if len(self._work) >= MOST or not self._runs():
            self.flush()
        elif not self._some.is_set():
            self._some.set()

    def flush(self) -> None:
        """Do what waits, now."""
        with self._one_at_a_time:
            while self._work:
                _do(self._work.popleft())

    def _runs(self) -> bool:
        """Say whether there is a thread for it, and start one where there is none."""
        if self._is_running():
            return True
        with self._one_at_a_time:  # of several that come at once one starts it
            return self._is_running() or self._started()

    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _started(self) -> bool:
        self._thread = threading.Thread(target=self._run, name="gathering", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the process ends, or has too many threads
            return False
        return True

    def _run(self) -> None:
        while True:
            self._some.wait()
            time.sleep(MOMENT_SECONDS)
            self._some.clear()
            self.flush()


def _do(work: Work) -> None:
    try:
        work()
    except Exception:  # not the fault of whoever is answered meanwhile
        traceback.print_exc()


ours = Gathering()
"""This process's."""
