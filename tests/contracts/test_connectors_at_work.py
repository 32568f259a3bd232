"""Every operation against the simulator, through lost answers and repeats: its ledger counts what really happened."""

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network
from urllib.parse import urlsplit

import pytest

from apps.deadletters.failures import FailureClass
from apps.integrations.connectors import CONNECTORS
from apps.integrations.connectors.shape import Doubles, Operation, Order, Site
from apps.integrations.door import carry_out
from apps.integrations.egress import Policy
from apps.integrations.outcome import Outcome
from tests.contracts.connectors import OPERATIONS, order
from tests.simulator_process import Simulator

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
every_operation = pytest.mark.parametrize(
    ("operation", "site", "name"), [one[1:] for one in OPERATIONS], ids=[one[0] for one in OPERATIONS]
)


@pytest.fixture
def far_end(simulator: Simulator, name: str, site: Site) -> Order:
    """The order as it goes to the simulator; where it is about a record, that is there."""
    kind = "http" if name.startswith("http") else "piperun"
    url = simulator.http("erp") if kind == "http" else simulator.piperun
    simulator.conditions("piperun", latency=None)
    given = order(name, replace(site, base_url=url, credentials={"token": simulator.token()}))
    if kind == "piperun" and not name.endswith(".create"):
        noun = name.partition(".")[0]
        first = carried(
            CONNECTORS["piperun"].operations[f"{noun}.create"], order(f"{noun}.create", given.site, key="setup")
        )
        assert first.remote_id == "1"
    return given


def reaching(url: str, deadline_seconds: float = 10) -> Policy:
    port = urlsplit(url).port or 80
    return Policy((ip_network("127.0.0.0/8"),), frozenset({port}), deadline_seconds=deadline_seconds)


def policy(order: Order, deadline_seconds: float = 10) -> Policy:
    return reaching(order.site.base_url, deadline_seconds)


def carried(operation: Operation, order: Order, deadline_seconds: float = 10) -> Outcome:
    doubles = operation.doubles(order.site.options)
    outcome = carry_out(operation.perform(order), policy(order, deadline_seconds), doubles).outcome
    assert outcome
    return outcome


def carried_through(operation: Operation, order: Order) -> Outcome:
    """Carried as delivery does it: again where that is harmless, or after a look; no further where nobody can say."""
    doubles = operation.doubles(order.site.options)
    outcome, attempts = carried(operation, order), 1
    while attempts < 4 and _goes_on(outcome, doubles):
        in_doubt = outcome.failure_class == FailureClass.AMBIGUOUS
        outcome = carried(operation, replace(order, called_at=LONG_AGO if in_doubt else None))
        attempts += 1
    return outcome


def _goes_on(outcome: Outcome, doubles: Doubles) -> bool:
    looks = outcome.failure_class == FailureClass.AMBIGUOUS and doubles == Doubles.LOOKUP and not outcome.unsure
    return looks or outcome.failure_class in (FailureClass.TRANSIENT, FailureClass.UNKNOWN)


def effects(simulator: Simulator, order: Order) -> int:
    """How many calls of an operation created something; writing the same values again creates nothing."""
    calls = [call for call in simulator.requests() if order.key in (call["key"], call["reference"])]
    return len({call["record"] for call in calls if call["effect"]})


@every_operation
def test_it_takes_effect_once(simulator: Simulator, operation: Operation, far_end: Order) -> None:
    outcome = carried(operation, far_end)
    assert outcome.succeeded
    assert outcome.remote_id
    assert effects(simulator, far_end) == 1


@every_operation
def test_a_lost_answer_never_leads_to_a_second_effect(
    simulator: Simulator, operation: Operation, far_end: Order
) -> None:
    simulator.fault("lose_answer", method="P*", times=2)
    outcome = carried_through(operation, far_end)
    assert effects(simulator, far_end) == 1
    assert outcome.succeeded or outcome.failure_class == FailureClass.AMBIGUOUS


@every_operation
def test_a_call_that_was_cut_before_its_effect_is_made_up_for_where_that_is_safe(
    simulator: Simulator, operation: Operation, far_end: Order
) -> None:
    simulator.fault("drop", method="P*", times=1)
    outcome = carried_through(operation, far_end)
    none = operation.doubles(far_end.site.options) == Doubles.NONE
    assert outcome.failure_class == (FailureClass.AMBIGUOUS if none else None)
    assert effects(simulator, far_end) == (0 if none else 1)


@every_operation
@pytest.mark.parametrize("kind", ["html", "cut", "binary", "empty"])
def test_garbage_after_the_effect_never_leads_to_a_second_one(
    kind: str, simulator: Simulator, operation: Operation, far_end: Order
) -> None:
    simulator.fault("garbage", method="P*", kind=kind, after_effect=True, times=1)
    carried_through(operation, far_end)
    assert effects(simulator, far_end) == 1


@every_operation
def test_an_unwell_answer_after_the_effect_never_leads_to_a_second_one(
    simulator: Simulator, operation: Operation, far_end: Order
) -> None:
    simulator.fault("answer", method="P*", status=502, after_effect=True, times=1)
    carried_through(operation, far_end)
    assert effects(simulator, far_end) == 1


@every_operation
def test_a_silent_far_end_ends_at_the_deadline(simulator: Simulator, operation: Operation, far_end: Order) -> None:
    simulator.fault("hang", method="P*", times=1)
    outcome = carried(operation, far_end, deadline_seconds=0.5)
    repeatable = operation.doubles(far_end.site.options).repeatable
    assert outcome.failure_class == (FailureClass.TRANSIENT if repeatable else FailureClass.AMBIGUOUS)


@every_operation
def test_a_rate_limit_is_no_attempt_and_no_effect(simulator: Simulator, operation: Operation, far_end: Order) -> None:
    simulator.fault("rate_limit", method="P*", wait_seconds=9, times=1)
    outcome = carried(operation, far_end)
    assert (outcome.failure_class, outcome.retry_after) == (FailureClass.RATE_LIMITED, 9)
    assert effects(simulator, far_end) == 0


@every_operation
def test_a_rotated_token_is_told_and_the_new_one_does(
    simulator: Simulator, operation: Operation, far_end: Order
) -> None:
    simulator.fault("unauthorized", method="P*", times=1)
    assert carried(operation, far_end).failure_class == FailureClass.CREDENTIAL
    assert carried(operation, far_end).succeeded


@every_operation
@pytest.mark.parametrize("gzip", [False, True])
def test_a_body_without_end_is_cut_off(gzip: bool, simulator: Simulator, operation: Operation, far_end: Order) -> None:
    simulator.fault("huge", method="P*", gzip=gzip, times=1)
    repeatable = operation.doubles(far_end.site.options).repeatable
    expected = FailureClass.PERMANENT_DATA if repeatable else FailureClass.AMBIGUOUS
    assert carried(operation, far_end).failure_class == expected


@every_operation
def test_what_was_done_can_be_confirmed(simulator: Simulator, operation: Operation, far_end: Order) -> None:
    carried(operation, far_end)
    if operation.confirm:
        found = carry_out(operation.confirm(far_end), policy(far_end)).outcome
        assert found
        assert found.remote_id == "1" or found.unsure


@pytest.mark.parametrize("reference_filter", [True, False])
def test_a_look_is_right_whether_or_not_the_filter_works(simulator: Simulator, reference_filter: bool) -> None:
    simulator.conditions("piperun", reference_filter=reference_filter)
    create = CONNECTORS["piperun"].operations["deal.create"]
    site = Site(simulator.piperun, {"token": simulator.token()})
    for number in range(230):
        carried(create, order("deal.create", site, reference=f"opsconsole:{number}", key=str(number)))
    assert carried(create, order("deal.create", site, reference="opsconsole:7", called_at=LONG_AGO)).remote_id == "8"
    assert (
        carried(create, order("deal.create", site, reference="opsconsole:new", called_at=LONG_AGO)).remote_id == "231"
    )


def test_a_person_whose_cpf_is_there_is_linked_and_not_made_twice(simulator: Simulator) -> None:
    create = CONNECTORS["piperun"].operations["person.create"]
    given = order("person.create", Site(simulator.piperun, {"token": simulator.token()}))
    first, second = carried(create, given), carried(create, replace(given, key="other", reference="opsconsole:other"))
    assert (second.failure_class, second.remote_id) == (FailureClass.DUPLICATE, first.remote_id)


@pytest.mark.parametrize("kind", CONNECTORS)
def test_the_probe_tells_a_dead_token(kind: str, simulator: Simulator) -> None:
    service, url = {
        "erp": ("millennium", simulator.erp),
        "http": ("erp", simulator.http("erp")),
        "piperun": ("piperun", simulator.piperun),
    }[kind]
    simulator.conditions(service, checks_token=True)
    for token, expected in ((simulator.rotate_token(service), None), ("0" * 32, FailureClass.CREDENTIAL)):
        shown = {"token": token, "user": "sync", "password": token}
        settled = carry_out(CONNECTORS[kind].probe(Site(url, shown)), reaching(url))
        assert settled.outcome
        assert settled.outcome.failure_class == expected
