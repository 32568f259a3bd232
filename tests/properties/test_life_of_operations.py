"""Any order of verbs and steps: only declared moves happen, and what must hold holds after each.

`OPS_SEQUENCES` says how many sequences are tried; the suite tries few.
"""

import datetime as dt
import os
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from apps.actions import leases
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.actions.verbs import Acted, Refused, Step, Verb, moves_of, verbs_of
from apps.deadletters.failures import FailureClass
from apps.deadletters.models import DeadLetter
from apps.operations.models import PendingOperation
from tests.cast import ROOT, Company
from tests.invariants import what_is_wrong

SEQUENCES = int(os.environ.get("OPS_SEQUENCES", "25"))
GIVEN = {"note": "settled by phone", "reason": "the customer withdrew"}
TOLD = {
    "used": 1,
    "floor": dt.timedelta(0),
    "spread": dt.timedelta(minutes=1),
    "in_doubt": False,
    "called_at": None,
    "error_type": "HTTP 500",
    "last_error": "it is unwell",
    "error_fields": {},
    "remote_id": "4711",
    "remote_url": "",
    "result": {"id": 4711},
}
States = dict[Any, tuple[type[Acted], str]]


class Life(RuleBasedStateMachine):
    """Workers and operators, in any order."""

    company: Company

    @initialize()
    def begin(self) -> None:
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.tokens: list[int] = [0]
        self.ids = [row.pk for row in self.company.operations_of(4)]
        self.company.failed(2)

    def teardown(self) -> None:
        if hasattr(self, "atomic"):
            transaction.set_rollback(True)
            self.atomic.__exit__(None, None, None)

    @rule(late=st.booleans())
    def submit(self, late: bool) -> None:
        row = self.company.operation()
        if late:
            PendingOperation.objects.filter(pk=row.pk).update(due_at=Now() + dt.timedelta(hours=1))

    @rule(count=st.integers(1, 4))
    def claim(self, count: int) -> None:
        rows = PendingOperation.objects.filter(due_at__lte=Now()).order_by("due_at", "id")
        taken = self._moving(PendingOperation.claim, lambda: leases.take(PendingOperation.claim, rows, count))
        self.tokens += [row.token for row in taken]

    @rule(
        step=st.sampled_from(["complete", "give_back", "release", "fail"]),
        which=st.integers(0, 100),
        failure_class=st.sampled_from(FailureClass.values),
    )
    def finish(self, step: str, which: int, failure_class: str) -> None:
        """Finish what a token holds, or held: a stale one writes nothing."""
        token, move = self.tokens[which % len(self.tokens)], getattr(PendingOperation, step)
        told = {key: TOLD | {"failure_class": failure_class} for key in self._all(PendingOperation)}
        self._moving(move, lambda: leases.finish(move, told, token))

    @rule(step=st.sampled_from(["rescue", "doubt", "bury"]))
    def fall_silent(self, step: str) -> None:
        move = getattr(PendingOperation, step)
        held = PendingOperation.objects.filter(status="processing")
        held.update(lease_until=Now() - dt.timedelta(seconds=1))
        told: dict[str, Any] = {} if step == "rescue" else {"last_error": "its worker fell silent"}
        self._moving(move, lambda: leases.rescue(move, held, **told))

    @rule(model=st.sampled_from([PendingOperation, DeadLetter]), verb=st.integers(0, 100), row=st.integers(0, 100))
    def press_on_one(self, model: type[Acted], verb: int, row: int) -> None:
        keys = self._all(model)
        if keys:
            self._press(model, verb, Selection.ticked(model, [keys[row % len(keys)]]))

    @rule(
        model=st.sampled_from([PendingOperation, DeadLetter]),
        verb=st.integers(0, 100),
        filters=st.sampled_from([{}, {"status": "failed"}, {"service": "piperun"}, {"archived": "yes"}]),
    )
    def press_on_all(self, model: type[Acted], verb: int, filters: dict[str, str]) -> None:
        known = filters if model is PendingOperation or "service" in filters else {}
        self._press(model, verb, Selection.matching(model, known))

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert what_is_wrong() == []

    def _press(self, model: type[Acted], number: int, selection: Selection) -> None:
        verbs = list(verbs_of(model).values())
        verb = verbs[number % len(verbs)]
        given = {word: GIVEN[word] for word in verb.asks}
        self._moving(verb, lambda: _pressed(verb, selection, given))

    def _moving(self, move: Verb | Step, work: Callable[[], Any]) -> Any:
        """Do the work, and check that each row went where its noun's declarations allow."""
        before = _states()
        done = work()
        for key, (model, status) in _states().items():
            was = before.get(key, (model, status))[1]
            if was != status:
                assert _declared(model, move, was, status), f"{move!r} took {model.__name__} from {was} to {status}"
        return done

    def _all(self, model: type[Acted]) -> list[Any]:
        return list(model.objects.order_by("pk").values_list("pk", flat=True))


def _pressed(verb: Verb, selection: Selection, given: dict[str, str]) -> object:
    try:
        return run(verb, selection, ROOT, given=given)
    except Refused as refused:
        return refused


def _states() -> States:
    return {
        key: (model, status)
        for model in (PendingOperation, DeadLetter)
        for key, status in model.objects.values_list("pk", "status")
    }


def _declared(model: type[Acted], move: Verb | Step, was: str, status: str) -> bool:
    """Say whether the move itself, or one of a following noun, goes from the one state to the other."""
    moves = [move] if move.model is model else moves_of(model).values()
    return any(was in allowed.sources and allowed.target == status for allowed in moves)


def test_only_declared_moves_happen_and_what_must_hold_holds(empty_company: Company) -> None:
    Life.company = empty_company
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=SEQUENCES,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.explicit, Phase.generate],  # shrinking takes minutes and says little more
        ),
    )
