"""The web takes up new code without refusing anybody (gunicorn's SIGHUP), and a process that is to end answers first."""

import signal
import time
from collections.abc import Callable

from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.chaos.callers import Callers
from tests.chaos.fleet import wait_until
from tests.chaos.score import FULL, Score
from tests.chaos.web import Web

RELOADS = 20 if FULL else 2


def workers(web: Web) -> set[int]:
    """The processes that answer."""
    with open(f"/proc/{web.process.pid}/task/{web.process.pid}/children") as children:
        return {int(pid) for pid in children.read().split()}


def test_a_reload_under_constant_requests_fails_none_of_them(
    erp: Service, queue: Queue, web: Web, report: Callable[[Score], Score]
) -> None:
    with Callers(web) as callers:
        for _reload in range(RELOADS):
            before, goal = workers(web), len(callers.acknowledged) + 40
            web.process.send_signal(signal.SIGHUP)
            wait_until(lambda before=before: not workers(web) & before, 60)  # type: ignore[misc] # bound here
            wait_until(lambda goal=goal: len(callers.acknowledged) >= goal, 60)  # type: ignore[misc] # bound here
    made = PendingOperation.objects.count()
    score = Score("the web reloaded under requests", made, kills=RELOADS)
    report(score).notes = [f"{callers.answers.total()} requests, the slowest took {callers.slowest_seconds:.1f} s"]
    assert dict(callers.answers) == {202: made}


def test_a_web_that_is_told_to_stop_answers_what_it_was_asked(erp: Service, queue: Queue, web: Web) -> None:
    """Of two behind a proxy one is replaced: whoever it took is answered, and the others find the door closed."""
    with Callers(web) as callers:
        wait_until(lambda: len(callers.acknowledged) >= 40, 60)
        web.process.terminate()
        web.process.wait(30)
        time.sleep(0.5)
    assert set(callers.answers) == {0, 202}
    assert PendingOperation.objects.count() == callers.answers[202]
