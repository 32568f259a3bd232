"""R09: two operators act on the same rows at the same moment, over HTTP. One wins, the other reads who did and what is needed."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import requests

from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.api import key_of
from tests.cast import give_up, letter_of
from tests.chaos.conftest import hand_in
from tests.chaos.fleet import Fleet, wait_until
from tests.chaos.score import FULL, Score, moved_by_people, scored
from tests.chaos.web import Web
from tests.chaos.world import World
from tests.invariants import what_is_wrong
from tests.races import at_once
from tests.simulator_process import Simulator

PAIRS = 100 if FULL else 12
"""Of each kind of pair; there are four."""
ROWS, ROUNDS = 1_000, 10 if FULL else 1
REASON = {"reason": "the customer withdrew"}
OPERATION, LETTER, QUEUE = "pending-operations", "dead-letters", "queues"

Ask = Callable[[Any], requests.Response]
Operators = dict[str, Callable[..., Ask]]


@pytest.fixture
def operators(web: Web) -> Operators:
    """Ana and Eva, each with a key: what they ask of a row, in the words of the API."""
    return {name: partial(asking, web, key_of(name, "Supervisor")) for name in ("ana", "eva")}


@pytest.fixture
def failed(erp: Service, queue: Queue) -> list[PendingOperation]:
    return give_up(hand_in(erp, queue, PAIRS))


def asking(web: Web, key: str, noun: str, verb: str, **body: str) -> Ask:
    return lambda row: web.send(f"/api/{noun}/{row.pk}/{verb}", body, key)


def race(rows: list[Any], ana: Ask, eva: Ask) -> set[str]:
    """Let both ask of each row at the same moment; return what the losers read, without the names."""
    return {lost(*answered(partial(ana, row), partial(eva, row))) for row in rows}


def answered(*works: Callable[[], requests.Response]) -> list[requests.Response]:
    return [answer for answer in at_once(*works) if isinstance(answer, requests.Response)]


def lost(ana: requests.Response, eva: requests.Response) -> str:
    assert sorted([ana.status_code, eva.status_code]) == [200, 409], [ana.text, eva.text]
    winner, loser = ("ana", eva) if ana.ok else ("eva", ana)
    detail = str(loser.json()["detail"])
    assert f" by {winner} at " in detail
    return re.sub(r"^.+?(?=: | is )|\b(ana|eva)\b|\d\d:\d\d", "…", detail)


def all_completed() -> bool:
    return not PendingOperation.objects.exclude(status="completed").exists()


def test_reset_and_archive(operators: Operators, failed: list[PendingOperation]) -> None:
    ana, eva = operators["ana"](OPERATION, "reset"), operators["eva"](OPERATION, "archive", **REASON)
    assert race(failed, ana, eva) <= {
        "… is pending (reset by … at …); archive needs failed.",
        "… is archived (archive by … at …); restore it first.",
    }
    assert (moved_by_people(failed), what_is_wrong()) == ({1: PAIRS}, [])


def test_resolve_and_retry(operators: Operators, failed: list[PendingOperation]) -> None:
    ana, eva = operators["ana"](OPERATION, "resolve"), operators["eva"](OPERATION, "retry")
    assert race(failed, ana, eva) <= {
        "… is completed (resolve by … at …); retry needs failed or pending.",
        "… is pending, and not known to be at the service (retry by … at …); confirm it first, or cancel it.",
    }
    assert (moved_by_people(failed), what_is_wrong()) == ({1: PAIRS}, [])


def test_pause_and_pause(operators: Operators, world: World) -> None:
    queues = Queue.objects.bulk_create(Queue(slug=f"crm-{n}", name=f"CRM {n}") for n in range(PAIRS))
    ana, eva = (operators[name](QUEUE, "pause", **REASON) for name in ("ana", "eva"))
    assert race(queues, ana, eva) == {"… is paused (pause by … at …); pause needs active."}
    assert moved_by_people(queues) == {1: PAIRS}


def test_a_retry_of_an_operation_and_one_of_its_dead_letter_are_one_call(
    simulator: Simulator,
    operators: Operators,
    failed: list[PendingOperation],
    fleet_of: Callable[..., Fleet],
    report: Callable[[Score], Score],
) -> None:
    ana, letters = operators["ana"](OPERATION, "retry"), operators["eva"](LETTER, "retry")
    read = race(failed, ana, lambda operation: letters(letter_of(operation)))
    assert read == {"…: already due (retry by … at …)."}
    assert (moved_by_people(failed), what_is_wrong()) == ({1: PAIRS}, [])
    fleet_of()
    wait_until(all_completed)
    score = report(scored("one operation retried by two", PAIRS, simulator))
    assert (score.completed, score.called_twice) == (PAIRS, 0)


def test_both_bulk_retries_over_the_same_rows_are_one_call_each(
    simulator: Simulator,
    web: Web,
    erp: Service,
    queue: Queue,
    fleet_of: Callable[..., Fleet],
    report: Callable[[Score], Score],
) -> None:
    for turn in range(ROUNDS):
        rows = give_up(hand_in(erp, queue, ROWS, first=turn * ROWS))
        told = answered(
            lambda: web.send(f"/api/{OPERATION}/retry-all-failed"),
            lambda: web.send(f"/api/{LETTER}/retry", {"filter": {"status": "unresolved"}}),
        )
        assert [answer.status_code for answer in told] == [200, 200], [answer.text for answer in told]
        assert (moved_by_people(rows), what_is_wrong()) == ({1: ROWS}, [])
    fleet_of()
    wait_until(all_completed)
    score = report(scored("1,000 rows retried by two at once", ROUNDS * ROWS, simulator))
    assert (score.completed, score.called_twice) == (ROUNDS * ROWS, 0)
