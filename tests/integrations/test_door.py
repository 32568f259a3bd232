import threading
from collections.abc import Collection, Hashable, Iterator
from typing import Any

import pytest
import requests

from apps.deadletters.failures import FailureClass
from apps.integrations.addresses import Names
from apps.integrations.connectors import CONNECTORS
from apps.integrations.connectors.shape import Doubles, Order, Site, Steps
from apps.integrations.door import Door, Settled, carry_out
from apps.integrations.egress import Policy
from apps.integrations.outcome import EgressRefused, Outcome, Unanswered
from tests.integrations.conftest import Listen, open_to
from tests.integrations.listener import Listener, answering

POST = CONNECTORS["http"].operations["http.post"]
SECRET = "s3cret-token"


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.close()


def silent(listener: Listener, connection: Any) -> None:
    """The effect is done, the answer is lost."""
    listener.read(connection)


def asks(method: str, listener: Listener, **content: Any) -> Steps:
    """A connector of one call."""
    response = yield requests.Request(method, f"{listener.url}/x", **content)
    return Outcome(result={"status": response.status_code})


def posting(listener: Listener, **options: Any) -> Steps:
    return POST.perform(Order("1", "k1", "r", "http.post", {"a": 1}, Site(listener.url, {"token": SECRET}, options)))


def settled(door: Door, count: int = 1) -> list[Settled]:
    done: list[Settled] = []
    while len(done) < count:
        done += door.wait(30)
    return done


def test_many_operations_are_carried_at_once(door: Door, listen: Listen) -> None:
    listener = listen(answering("200 OK"))
    for tag in range(100):
        door.start(tag, posting(listener), open_to(listener), Doubles.NATIVE_KEY)
    done = settled(door, 100)
    assert {one.tag for one in done if one.outcome and one.outcome.succeeded} == set(range(100))
    assert door.in_flight == 0


def test_a_connector_is_sent_each_answer_of_its_calls(listen: Listen) -> None:
    listener = listen(answering("200 OK"))

    def two_calls() -> Steps:
        first = yield requests.Request("GET", f"{listener.url}/1")
        second = yield requests.Request("POST", f"{listener.url}/2")
        return Outcome(result={"urls": [first.url, second.url]})

    done = carry_out(two_calls(), open_to(listener))
    assert done.outcome == Outcome(result={"urls": [f"{listener.url}/1", f"{listener.url}/2"]})
    assert [(one.method, one.status, one.sent) for one in done.exchanges] == [("GET", 200, True), ("POST", 200, True)]


@pytest.mark.parametrize(
    ("doubles", "method", "failure_class"),
    [
        (Doubles.NATIVE_KEY, "POST", FailureClass.TRANSIENT),
        (Doubles.UPSERT, "PUT", FailureClass.TRANSIENT),
        (Doubles.LOOKUP, "GET", FailureClass.TRANSIENT),
        (Doubles.LOOKUP, "POST", FailureClass.AMBIGUOUS),
        (Doubles.NONE, "POST", FailureClass.AMBIGUOUS),
        (Doubles.NONE, "GET", FailureClass.TRANSIENT),
    ],
)
def test_a_lost_answer_is_ambiguous_only_where_the_call_may_not_be_repeated(
    doubles: Doubles, method: str, failure_class: FailureClass, listen: Listen
) -> None:
    listener = listen(silent)
    outcome = carry_out(asks(method, listener), open_to(listener), doubles).outcome
    assert outcome
    assert outcome.failure_class == failure_class


def test_a_call_that_never_left_may_always_be_made_again(listen: Listen) -> None:
    listener = listen(silent)
    listener.close()
    done = carry_out(asks("POST", listener), open_to(listener), Doubles.NONE)
    assert done.outcome
    assert (done.outcome.failure_class, done.exchanges[0].sent) == (FailureClass.TRANSIENT, False)


def test_what_is_lost_after_a_risky_call_is_ambiguous_too(listen: Listen) -> None:
    listener, lost = listen(answering("200 OK")), listen(silent)

    def create_then_read() -> Steps:
        yield requests.Request("POST", f"{listener.url}/x")
        yield requests.Request("GET", f"http://127.0.0.1:{lost.port}/x")
        return Outcome()

    policy = Policy(open_to(listener).networks, frozenset({listener.port, lost.port}))
    outcome = carry_out(create_then_read(), policy, Doubles.NONE).outcome
    assert outcome
    assert outcome.failure_class == FailureClass.AMBIGUOUS


def test_an_answer_that_was_too_large_leaves_a_risky_call_ambiguous(listen: Listen) -> None:
    listener = listen(answering("200 OK", b"x" * 200_000))
    first = carry_out(asks("POST", listener), open_to(listener), Doubles.NATIVE_KEY).outcome
    risky = carry_out(asks("POST", listener), open_to(listener), Doubles.NONE).outcome
    assert first
    assert risky
    assert (first.failure_class, risky.failure_class) == (FailureClass.PERMANENT_DATA, FailureClass.AMBIGUOUS)


def test_a_connector_may_catch_what_did_not_come(listen: Listen) -> None:
    listener = listen(silent)

    def careful() -> Steps:
        try:
            yield requests.Request("GET", f"{listener.url}/x")
        except Unanswered as lost:
            return Outcome(FailureClass.DEPENDENCY_DOWN, f"sent: {lost.sent}")
        return Outcome()

    outcome = carry_out(careful(), open_to(listener)).outcome
    assert outcome == Outcome(FailureClass.DEPENDENCY_DOWN, "sent: True")


def test_a_refusal_of_the_door_is_thrown_into_the_connector(listen: Listen) -> None:
    listener = listen(silent)

    def careful() -> Steps:
        with pytest.raises(EgressRefused):
            yield requests.Request("GET", f"{listener.url}/x")
        return Outcome(message="caught")

    outcome = carry_out(careful(), Policy()).outcome
    assert outcome == Outcome(message="caught")


def test_a_refused_call_is_a_matter_of_configuration(listen: Listen) -> None:
    outcome = carry_out(posting(listen(silent)), Policy()).outcome
    assert outcome
    assert outcome.failure_class == FailureClass.CONFIG


def test_a_missing_credential_is_said_by_its_name() -> None:
    outcome = carry_out(CONNECTORS["piperun"].probe(Site("https://crm.example.com")), Policy()).outcome
    assert outcome == Outcome(FailureClass.CREDENTIAL, "The credential 'token' is not set.")


def test_a_broken_connector_does_not_take_the_others_down(door: Door, listen: Listen) -> None:
    listener = listen(answering("200 OK"))

    def broken() -> Steps:
        yield requests.Request("GET", f"{listener.url}/x")
        raise KeyError("stage")

    door.start("broken", broken(), open_to(listener), Doubles.UPSERT)
    door.start("whole", posting(listener), open_to(listener), Doubles.UPSERT)
    done = {one.tag: one.outcome for one in settled(door, 2)}
    assert done["broken"] == Outcome(FailureClass.UNKNOWN, "The connector failed: KeyError: 'stage'")
    assert done["whole"] == Outcome()


def test_a_connector_that_breaks_after_a_risky_call_leaves_it_ambiguous(listen: Listen) -> None:
    listener = listen(answering("200 OK"))

    def broken() -> Steps:
        yield requests.Request("POST", f"{listener.url}/x")
        raise KeyError("stage")

    outcome = carry_out(broken(), open_to(listener), Doubles.NONE).outcome
    assert outcome
    assert outcome.failure_class == FailureClass.AMBIGUOUS


@pytest.mark.parametrize(
    ("doubles", "failure_class"),
    [(Doubles.LOOKUP, FailureClass.AMBIGUOUS), (Doubles.NATIVE_KEY, FailureClass.UNKNOWN)],
)
def test_an_unheard_of_answer_to_a_risky_call_is_ambiguous(
    doubles: Doubles, failure_class: FailureClass, listen: Listen
) -> None:
    listener = listen(answering("200 OK"))

    def puzzled() -> Steps:
        yield requests.Request("POST", f"{listener.url}/x")
        return Outcome(FailureClass.UNKNOWN, "not JSON")

    assert carry_out(puzzled(), open_to(listener), doubles).outcome == Outcome(failure_class, "not JSON")


# Just before a call that may not be repeated


def test_the_caller_is_asked_once_for_all_calls_that_may_not_be_repeated(listen: Listen) -> None:
    listener, asked = listen(answering("200 OK")), []

    def stamp(tags: list[Hashable]) -> Collection[Hashable]:
        asked.append((sorted(map(str, tags)), len(listener.requests)))
        return tags

    door = Door(stamp)
    for tag in "abc":
        door.start(tag, asks("POST", listener), open_to(listener), Doubles.NONE)
    door.start("keyed", asks("POST", listener), open_to(listener), Doubles.NATIVE_KEY)
    settled(door, 4)
    door.close()
    assert [tags for tags, _seen in asked] == [["a", "b", "c"]]


def test_a_call_the_caller_does_not_allow_is_never_made(listen: Listen) -> None:
    listener = listen(answering("200 OK"))
    door = Door(lambda tags: [tag for tag in tags if tag != "lost"])
    for tag in ("lost", "held"):
        door.start(tag, asks("POST", listener), open_to(listener), Doubles.NONE)
    done = {one.tag: one.outcome for one in settled(door, 2)}
    door.close()
    assert done["lost"] is None
    assert len(listener.requests) == 1


def test_nothing_is_called_while_the_caller_cannot_be_asked(listen: Listen) -> None:
    listener, down = listen(answering("200 OK")), [True]

    def stamp(tags: list[Hashable]) -> Collection[Hashable]:
        if down.pop():
            raise RuntimeError("no database")
        return tags

    door = Door(stamp)
    door.start("a", asks("POST", listener), open_to(listener), Doubles.LOOKUP)
    with pytest.raises(RuntimeError, match="no database"):
        door.wait(5)
    assert listener.connections == 0
    down.append(False)
    [done] = settled(door)
    door.close()
    assert done.outcome == Outcome(result={"status": 200})


# What is kept of a call

LEAKY = b'{"message": "token s3cret-token of ana@example.com, CPF 529.982.247-25, +55 31 98888-7777", "access_token": "abc"}'


def test_nothing_secret_or_personal_is_kept_of_a_failed_call(listen: Listen) -> None:
    listener = listen(answering("422 No\r\nSet-Cookie: id=abcdef\r\nX-Request-Id: 7", LEAKY))
    done = carry_out(asks_and_tells(listener), open_to(listener), secrets=[SECRET])
    told = repr(done)
    assert not any(canary in told for canary in (SECRET, "abcdef", 'abc"', "ana@", "529.982", "98888"))
    assert "x-request-id: 7" in done.exchanges[0].excerpt.lower()


def asks_and_tells(listener: Listener) -> Steps:
    """A connector that repeats what it was answered."""
    response = yield requests.Request("GET", f"{listener.url}/token/{SECRET}/send?token={SECRET}&cpf=52998224725")
    return Outcome(FailureClass.PERMANENT_DATA, response.text, errors={"phone": [response.text]})


def test_an_excerpt_is_bounded_and_kept_only_of_failures(listen: Listen) -> None:
    failing, fine = listen(answering("500 No", "é".encode() * 40_000)), listen(answering("200 OK", b"fine"))
    [failed] = carry_out(posting(failing), open_to(failing)).exchanges
    [passed] = carry_out(posting(fine), open_to(fine)).exchanges
    assert 4000 < len(failed.excerpt.encode()) <= 4096
    assert passed.excerpt == ""


def test_what_was_never_answered_says_why(listen: Listen) -> None:
    listener = listen(silent)
    [exchange] = carry_out(posting(listener), open_to(listener)).exchanges
    assert (exchange.status, exchange.sent) == (None, True)
    assert "closed" in exchange.excerpt or "Empty reply" in exchange.excerpt


def test_each_door_works_in_the_thread_that_made_it(listen: Listen) -> None:
    listener, done = listen(answering("200 OK")), []

    def carry() -> None:
        done.append(carry_out(posting(listener), open_to(listener)).outcome)

    threads = [threading.Thread(target=carry) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert done == [Outcome()] * 4


def test_a_slow_name_does_not_hold_up_the_door(listen: Listen) -> None:
    listener, never = listen(answering("200 OK")), threading.Event()
    door = Door(names=Names(lambda host: ["127.0.0.1"] if host == "fast.example.com" else [str(never.wait(20))]))
    for host in ("slow", "fast"):
        url = f"http://{host}.example.com:{listener.port}"
        order = Order("1", "k", "r", "http.post", {}, Site(url))
        door.start(host, POST.perform(order), open_to(listener, deadline_seconds=2), Doubles.NATIVE_KEY)
    [first] = door.wait(10)
    never.set()
    door.close()
    assert first.tag == "fast"
