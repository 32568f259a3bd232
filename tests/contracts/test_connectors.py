"""What every operation of every connector does with an answer. A new one is tested by standing in the catalogue."""

import pytest

from apps.deadletters.failures import FailureClass
from apps.integrations.connectors import CONNECTORS, checked
from apps.integrations.connectors.shape import Doubles, Operation, Site
from apps.integrations.outcome import Outcome, Unanswered
from tests.contracts.connectors import (
    NOW,
    OPERATIONS,
    PAYLOADS,
    READINGS,
    SITES,
    answer,
    first_call,
    first_page,
    order,
    play,
    taken,
)

every_operation = pytest.mark.parametrize(
    ("operation", "site", "name"), [one[1:] for one in OPERATIONS], ids=[one[0] for one in OPERATIONS]
)
every_reading = pytest.mark.parametrize(
    ("kind", "name"), [one[1:] for one in READINGS], ids=[one[0] for one in READINGS]
)
every_connector = pytest.mark.parametrize("kind", CONNECTORS)

GARBAGE = {
    "html": "<html>Bad gateway</html>",
    "cut off": '{"success": true, "data": {"id',
    "a list": [1, 2],
    "null": None,
    "nan": '{"success": true, "data": {"id": NaN}}',
    "nul": '{"success": true, "data": {"id": 1, "title": "a\\u0000\\ud800"}}',
    "deep": "[" * 100_000,
    "a number of 5,000 digits": "9" * 5000,
    "nothing": "",
}


def unless_repeatable(operation: Operation, site: Site) -> FailureClass:
    """The class of a failure after which nobody knows what happened."""
    repeatable = operation.doubles(site.options).repeatable
    return FailureClass.TRANSIENT if repeatable else FailureClass.AMBIGUOUS


@every_operation
def test_an_answer_of_200_completes_it(operation: Operation, site: Site, name: str) -> None:
    outcome = first_call(operation, order(name, site), taken())
    assert (outcome.succeeded, outcome.remote_id) == (True, "77")


@every_operation
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_named_so(status: int, operation: Operation, site: Site, name: str) -> None:
    assert first_call(operation, order(name, site), answer(status)).failure_class == FailureClass.CREDENTIAL


@every_operation
def test_a_429_makes_the_service_wait_as_long_as_it_says(operation: Operation, site: Site, name: str) -> None:
    outcome = first_call(operation, order(name, site), answer(429, Retry_After="30"))
    assert (outcome.failure_class, outcome.retry_after) == (FailureClass.RATE_LIMITED, 30)


@every_operation
def test_a_429_that_names_no_time_is_still_no_attempt(operation: Operation, site: Site, name: str) -> None:
    assert first_call(operation, order(name, site), answer(429)).failure_class == FailureClass.RATE_LIMITED


@every_operation
@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_an_unwell_service_is_asked_again_only_where_that_is_harmless(
    status: int, operation: Operation, site: Site, name: str
) -> None:
    outcome = first_call(operation, order(name, site), answer(status, "<html>"))
    assert outcome.failure_class == unless_repeatable(operation, site)


@every_operation
def test_a_503_that_says_when_to_come_back_is_a_refusal_before_work(
    operation: Operation, site: Site, name: str
) -> None:
    outcome = first_call(operation, order(name, site), answer(503, Retry_After="7"))
    assert (outcome.failure_class, outcome.retry_after) == (FailureClass.RATE_LIMITED, 7)


@every_operation
@pytest.mark.parametrize("status", [400, 404, 422])
def test_refused_values_are_refused_for_good(status: int, operation: Operation, site: Site, name: str) -> None:
    outcome = first_call(operation, order(name, site), answer(status, {"message": "no such stage"}))
    assert outcome.failure_class == FailureClass.PERMANENT_DATA
    assert "no such stage" in outcome.message


@every_operation
@pytest.mark.parametrize("status", [301, 307, 405, 415])
def test_a_wrong_address_or_method_is_for_developers(status: int, operation: Operation, site: Site, name: str) -> None:
    assert first_call(operation, order(name, site), answer(status)).failure_class == FailureClass.CONFIG


@every_operation
@pytest.mark.parametrize("body", GARBAGE.values(), ids=list(GARBAGE))
def test_garbage_is_an_outcome_and_no_crash(body: object, operation: Operation, site: Site, name: str) -> None:
    outcome = first_call(operation, order(name, site), answer(200, body))
    assert outcome.failure_class in (None, FailureClass.UNKNOWN)
    assert "\x00" not in repr(outcome.result)


@every_operation
def test_a_lost_answer_is_left_to_the_door(operation: Operation, site: Site, name: str) -> None:
    with pytest.raises(Unanswered):
        first_call(operation, order(name, site), Unanswered(True, "reset"))


@every_operation
def test_every_call_carries_the_key_and_no_secret_in_its_address(operation: Operation, site: Site, name: str) -> None:
    _outcome, [asked] = play(operation.perform(order(name, site)), [taken()])
    assert asked.headers["Idempotency-Key"] == order(name, site).key
    assert not any(secret in asked.url for secret in site.credentials.values())


@every_operation
def test_what_can_be_looked_up_can_be_confirmed(operation: Operation, site: Site, name: str) -> None:
    assert operation.confirm or operation.doubles(site.options) != Doubles.LOOKUP


@every_connector
def test_each_operation_has_words_for_people_and_a_payload_that_will_do(kind: str) -> None:
    for name, operation in CONNECTORS[kind].operations.items():
        assert operation.label
        assert operation.help
        assert checked(CONNECTORS[kind], name, PAYLOADS[name]) == name


@every_connector
@pytest.mark.parametrize(
    ("status", "failure_class"),
    [(200, None), (401, FailureClass.CREDENTIAL), (429, FailureClass.RATE_LIMITED), (503, FailureClass.TRANSIENT)],
)
def test_the_probe_is_harmless_and_tells_how_it_is(kind: str, status: int, failure_class: FailureClass | None) -> None:
    outcome, [asked] = play(CONNECTORS[kind].probe(SITES[kind][0]), [answer(status, {"value": []})])
    assert outcome.failure_class == failure_class
    assert asked.method in ("GET", "HEAD")


@every_reading
@pytest.mark.parametrize(
    ("status", "failure_class"),
    [
        (401, FailureClass.CREDENTIAL),
        (429, FailureClass.RATE_LIMITED),
        (302, FailureClass.CONFIG),
        (500, FailureClass.TRANSIENT),
        (503, FailureClass.TRANSIENT),
    ],
)
def test_a_reading_that_is_refused_says_why(kind: str, name: str, status: int, failure_class: FailureClass) -> None:
    outcome, _asked = play(first_page(kind, name), [answer(status, {})])
    assert (outcome.failure_class, outcome.page) == (failure_class, None)


@every_reading
@pytest.mark.parametrize("body", GARBAGE.values(), ids=list(GARBAGE))
def test_garbage_is_no_page_and_never_the_last_one(kind: str, name: str, body: object) -> None:
    outcome, _asked = play(first_page(kind, name), [answer(200, body)])
    assert outcome.page is None
    assert outcome.failure_class == FailureClass.UNKNOWN


@every_reading
def test_an_empty_list_is_the_end_of_the_pass_or_leads_on(kind: str, name: str) -> None:
    outcome, [asked] = play(first_page(kind, name), [answer(200, {"value": [], "data": []})])
    assert outcome.page is not None
    assert (list(outcome.page.records), asked.method) == ([], "GET")
    assert outcome.page.next or outcome.page.watermark


@every_reading
def test_a_reading_shows_no_secret_in_its_address(kind: str, name: str) -> None:
    _outcome, [asked] = play(first_page(kind, name), [answer(200, {"value": [], "data": []})])
    site = SITES[kind][0]
    assert not any(secret in f"{asked.url} {asked.params}" for secret in site.credentials.values())


@every_reading
def test_what_a_pass_leaves_begins_the_next(kind: str, name: str) -> None:
    reading, options = CONNECTORS[kind].readings[name], SITES[kind][0].options
    again = reading.since(NOW, 41, options, NOW)
    assert again
    assert play(reading.page(SITES[kind][0], again), [answer(200, {"value": [], "data": []})])[0].page


def test_an_outcome_that_links_to_the_first_succeeded() -> None:
    assert Outcome(FailureClass.DUPLICATE).succeeded
    assert not Outcome(FailureClass.AMBIGUOUS).succeeded
