"""R10: "retry all that failed" is one click: it goes on without the browser, whatever is killed, and never too fast."""

import contextlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import requests
from django.contrib.auth.models import Group, User
from django.test import Client

from apps.actions.models import ActionRun
from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.cast import give_up
from tests.chaos.conftest import hand_in
from tests.chaos.fleet import Fleet, next_strike, until, wait_until
from tests.chaos.score import FULL, Score, moved_by_people, scored
from tests.chaos.web import Web
from tests.invariants import what_is_wrong
from tests.races import at_once, raised
from tests.simulator_process import Simulator

ROWS, KILLS, LIMIT = (10_000, 10, 200) if FULL else (600, 2, 60)
SECONDS = 5
FAIL_AGAIN = "*77"
"""Of every hundred operations the far end refuses one, by its number; none of the canary."""
RETRY_ALL = "/admin/operations/pendingoperation/verbs/retry/?status=failed"
HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)"')


@dataclass
class Browser:
    """Ana's browser: it opens the preview and presses the button."""

    base: str
    cookie: str

    def preview(self) -> dict[str, str]:
        """Open the preview and return its form, as the button would send it."""
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.cookies.set("sessionid", self.cookie)
        page = self.session.get(self.base + RETRY_ALL, timeout=30)
        assert (page.status_code, page.history) == (200, []), page.url
        return {**dict(HIDDEN.findall(page.text)), "pace": "canary", "confirm": "yes"}

    def press(self, form: dict[str, str]) -> str:
        """Press the button and return where it leads."""
        answer = self.session.post(self.base + RETRY_ALL, form, allow_redirects=False, timeout=30)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def press_and_close(self, form: dict[str, str]) -> str:
        """Press the button and close the browser before the answer is there."""
        with contextlib.suppress(requests.ReadTimeout):
            self.session.post(self.base + RETRY_ALL, form, allow_redirects=False, timeout=(30, 0.001))
        return ""


@pytest.fixture
def browser(web: Web) -> Browser:
    ana = User.objects.create_user("ana", is_staff=True)
    ana.groups.add(Group.objects.get(name="Operator"))
    client = Client()
    client.force_login(ana)
    return Browser(web.url, client.cookies["sessionid"].value)


@pytest.fixture
def limited(erp: Service, simulator: Simulator) -> Service:
    """A far end with a limit, of which a tenth may be caught up with at once; it refuses some for good."""
    simulator.fault("answer", status=422, payload={"n": FAIL_AGAIN})
    erp.rate_per_second, erp.burst = LIMIT, LIMIT // 10
    erp.save()
    return erp


def completed() -> int:
    return PendingOperation.objects.filter(status="completed").count()


def over(run: ActionRun) -> bool:
    run.refresh_from_db()
    return run.status not in (*ActionRun.OPEN, ActionRun.Status.WATCHING)


def kill_while_it_runs(fleet: Fleet, seed: int, run: ActionRun) -> int:
    """Spread the kills, of a worker and of the beat each time, over the run; the first hits the canary."""
    dice, kills = random.Random(seed), 0  # noqa: S311 # no secret
    for _round in until(lambda: over(run), 600 if FULL else 120):
        fleet.tend()
        if kills < KILLS and completed() >= max(next_strike(kills, KILLS, ROWS, over=1), 1):
            fleet.kill_node(dice.choice([*fleet.nodes, fleet.ticker]))
            fleet.kill_node(fleet.beats[0])
            kills += 1
    return kills


def busiest(simulator: Simulator) -> float:
    """Return how many calls a second came, in the busiest seconds on end: a process that is held up catches up."""
    calls: dict[int, int] = {second["second"]: second["calls"] for second in simulator.pace("erp")["seconds"]}
    return max(sum(calls.get(first + n, 0) for n in range(SECONDS)) for first in calls) / SECONDS


def test_it_is_one_run_however_often_it_is_clicked_and_whoever_is_killed(
    simulator: Simulator,
    limited: Service,
    queue: Queue,
    browser: Browser,
    fleet_of: Callable[..., Fleet],
    seed: int,
    report: Callable[[Score], Score],
) -> None:
    rows = give_up(hand_in(limited, queue, ROWS))
    form = browser.preview()
    assert raised(at_once(lambda: browser.press_and_close(form), lambda: browser.press(form))) == []
    run, fleet = ActionRun.objects.get(), fleet_of()
    wait_until(lambda: completed() > 0)
    assert browser.press(browser.preview()) == run.get_absolute_url()
    kills = kill_while_it_runs(fleet, seed, run)
    score = report(scored("retry of all that failed, clicked three times", ROWS, simulator, kills=kills))
    score.notes = [f"{busiest(simulator):.0f} calls a second where {LIMIT} are allowed"]
    assert (run.status, run.total, run.confirmed + run.failed_again, kills) == ("finished", ROWS, ROWS, KILLS), seed
    assert (run.failed_again, score.second_effects, score.second_keys) == (ROWS // 100, 0, 0), seed
    assert (moved_by_people(rows), what_is_wrong(), ActionRun.objects.count()) == ({1: ROWS}, [], 1), seed
    assert busiest(simulator) <= LIMIT * 1.1, simulator.pace("erp")
