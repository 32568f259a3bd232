"""Many dead letters of few families: found, retried by a canary that stops itself, then retried to the end."""

import time
from collections.abc import Callable
from itertools import product

from apps.actions.models import ActionRun
from apps.actions.running import Pace, run
from apps.actions.selections import Selection
from apps.deadletters import backlog
from apps.deadletters.causes import causes
from apps.deadletters.models import DeadLetter, FailureFamily
from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.cast import ROOT
from tests.chaos.fleet import Fleet, wait_until
from tests.chaos.score import FULL, Score, scored
from tests.simulator_process import Simulator

OPERATIONS, FAMILIES = (10_000, 40) if FULL else (400, 8)
FIELDS = ["".join(letters) for letters in product("bdfgk", "aeio", "lr")][:FAMILIES]
"""Each family lacks another field."""
UNRESOLVED = {"status": "unresolved"}
PATIENCE = 600


def test_all_are_retried_once_the_canary_has_shown_that_the_fault_is_gone(
    simulator: Simulator,
    erp: Service,
    queue: Queue,
    fleet_of: Callable[..., Fleet],
    report: Callable[[Score], Score],
) -> None:
    simulator.conditions("erp", latency={"p50_seconds": 0.01, "p95_seconds": 0.05, "max_seconds": 0.2})
    for field in FIELDS:
        simulator.fault("answer", status=422, body={"message": f"{field} is required"}, payload={"lacks": field})
    PendingOperation.objects.bulk_create(
        PendingOperation(
            service=erp, queue=queue, operation_type="http.post", payload={"n": n, "lacks": FIELDS[n % FAMILIES]}
        )
        for n in range(OPERATIONS)
    )
    fleet_of(nodes=2, children=2)
    wait_until(lambda: backlog.counts()["unresolved"] == OPERATIONS, PATIENCE)
    assert (FailureFamily.objects.count(), len(causes(limit=100))) == (FAMILIES, FAMILIES)
    took = {text: found(text, count) for text, count in searches().items()}

    stopped = retried_by_a_canary()
    wait_until(lambda: state(stopped) == "stopped")
    assert (stopped.moved, stopped.failed_again, stopped.confirmed) == (1, 1, 0)
    assert backlog.counts()["unresolved"] == OPERATIONS

    simulator.clear_faults()
    run(ActionRun.resume, Selection.ticked(ActionRun, [stopped.pk]), ROOT)
    wait_until(lambda: state(stopped) == "finished", PATIENCE)
    assert (stopped.moved, stopped.confirmed, stopped.failed_again) == (OPERATIONS, OPERATIONS - 1, 1)
    last = retried_by_a_canary()
    wait_until(lambda: state(last) == "finished")
    assert (last.moved, last.confirmed, last.still_open) == (1, 1, 0)

    score = report(scored("families", OPERATIONS, simulator))
    score.notes = [f"{text!r} found in {seconds * 1000:.0f} ms" for text, seconds in took.items()]
    assert backlog.counts() == {"unresolved": 0, "retrying": 0, "resolved": OPERATIONS, "archived": 0}
    assert (score.completed, score.lost, score.second_effects, score.second_keys) == (OPERATIONS, 0, 0, 0)


def searches() -> dict[str, int]:
    """A word of one family's error, and of one operation's payload, with how many each finds."""
    return {f"{FIELDS[1]} is required": OPERATIONS // FAMILIES, f'"n": {OPERATIONS - 1},': 1}


def found(text: str, count: int) -> float:
    """Search as the list does; return how many seconds the page took."""
    rows = Selection.matching(DeadLetter, {"q": text}).rows()
    began = time.perf_counter()
    list(rows.order_by("-pk")[:51])
    took = time.perf_counter() - began
    assert rows.count() == count
    return took


def retried_by_a_canary() -> ActionRun:
    return run(DeadLetter.retry, Selection.matching(DeadLetter, UNRESOLVED), ROOT, pace=Pace(canary=True))


def state(record: ActionRun) -> str:
    record.refresh_from_db()
    return str(record.status)
