import gzip
import socket
import threading
import time

import pytest
import requests

from apps.deadletters.failures import FailureClass
from apps.integrations.egress import Calls, send
from apps.integrations.outcome import EgressRefused, Unanswered
from tests.integrations.conftest import Listen, open_to
from tests.integrations.listener import Listener, Script, answering


def saying(*parts: bytes, forever: bytes = b"", pause: float = 0) -> Script:
    """Say some parts, then drip a last one until nobody listens."""

    def script(listener: Listener, connection: socket.socket) -> None:
        listener.read(connection)
        for part in parts:
            connection.sendall(part)
        while forever and not listener.done.wait(pause):
            connection.sendall(forever)

    return script


def called(
    listener: Listener, method: str = "GET", deadline_seconds: float = 10, **content: object
) -> requests.Response:
    return send(requests.Request(method, f"{listener.url}/x", **content), open_to(listener, deadline_seconds))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int, listen: Listen) -> None:
    target = listen(answering("200 OK"))
    listener = listen(answering(f"{status} Elsewhere\r\nLocation: {target.url}/"))
    assert called(listener).status_code == status
    assert target.connections == 0


@pytest.mark.parametrize("forever", [b"X", b"X-Drip: 1\r\n"], ids=["one endless header", "endless headers"])
def test_headers_that_drip_do_not_outlast_the_deadline(forever: bytes, listen: Listen) -> None:
    listener = listen(saying(b"HTTP/1.1 200 OK\r\n", forever=forever, pause=0.05))
    with pytest.raises(Unanswered, match="timed out") as caught:
        called(listener, deadline_seconds=0.5)
    assert caught.value.sent


def test_a_body_that_drips_does_not_outlast_the_deadline(listen: Listen) -> None:
    listener = listen(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", forever=b"x", pause=0.05))
    with pytest.raises(Unanswered, match="timed out"):
        called(listener, deadline_seconds=0.5)


@pytest.mark.parametrize("forever", [b"X-More: 1\r\n" * 100, b"x" * 4096], ids=["many", "long"])
def test_endless_headers_are_refused(forever: bytes, listen: Listen) -> None:
    listener = listen(saying(b"HTTP/1.1 200 OK\r\n", forever=forever))
    with pytest.raises((EgressRefused, Unanswered)):
        called(listener)


def test_an_endless_body_is_refused(listen: Listen) -> None:
    listener = listen(saying(b"HTTP/1.1 200 OK\r\n\r\n", forever=b"x" * 65536))
    with pytest.raises(EgressRefused, match="longer than 100000 bytes") as caught:
        called(listener)
    assert (caught.value.failure_class, caught.value.sent) == (FailureClass.PERMANENT_DATA, True)


def test_the_size_is_counted_as_unpacked(listen: Listen) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    listener = listen(answering("200 OK\r\nContent-Encoding: gzip", bomb))
    with pytest.raises(EgressRefused, match="longer than 100000 bytes"):
        called(listener)


def test_a_packed_answer_is_unpacked(listen: Listen) -> None:
    listener = listen(answering("200 OK\r\nContent-Encoding: gzip", gzip.compress("olá".encode())))
    assert called(listener).text == "olá"


def test_a_refused_connection_left_nothing_behind(listen: Listen) -> None:
    listener = listen(answering("200 OK"))
    listener.close()
    with pytest.raises(Unanswered) as caught:
        called(listener, "POST", json={})
    assert not caught.value.sent


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"\x00\xff garbage\r\n\r\n",
        b"220 smtp.example.com\r\n",
    ],
    ids=["nothing", "half", "garbage", "another protocol"],
)
def test_an_answer_that_is_not_whole_is_none_and_the_request_was_sent(said: bytes, listen: Listen) -> None:
    with pytest.raises(Unanswered) as caught:
        called(listen(saying(said)), "POST", json={})
    assert caught.value.sent


def test_a_request_is_never_sent_twice_by_the_engine_itself(listen: Listen) -> None:
    """libcurl repeats a request on a fresh connection when a kept one dies before a byte came back."""

    def one_answer_then_death(listener: Listener, connection: socket.socket) -> None:
        listener.read(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        listener.read(connection)  # the effect is done, the answer is lost

    listener, calls = listen(one_answer_then_death), Calls()
    answers = []
    for number in range(2):
        calls.start(number, requests.Request("POST", f"{listener.url}/x", json={}), open_to(listener))
        answers += [answer for _tag, answer in calls.wait(10)]
    calls.close()
    assert isinstance(answers[1], Unanswered)
    assert answers[1].sent
    assert len(listener.requests) == 2


def test_connections_are_kept_and_used_again(listen: Listen) -> None:
    listener, calls = listen(answering("200 OK")), Calls()
    for number in range(20):
        calls.start(number, requests.Request("GET", f"{listener.url}/x"), open_to(listener))
        calls.wait(10)
    calls.close()
    assert (listener.connections, len(listener.requests)) == (1, 20)


def test_hundreds_of_calls_wait_at_once_in_one_thread(listen: Listen) -> None:
    together = threading.Barrier(201)

    def answer_when_all_are_here(listener: Listener, connection: socket.socket) -> None:
        listener.read(connection)
        together.wait(30)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    listener, calls, answered = listen(answer_when_all_are_here), Calls(), 0
    for number in range(200):
        calls.start(number, requests.Request("GET", f"{listener.url}/x"), open_to(listener, 30))
    threading.Thread(target=together.wait, args=(30,), daemon=True).start()
    ends = time.monotonic() + 30
    while calls.in_flight and time.monotonic() < ends:
        answered += len(calls.wait(1))
    calls.close()
    assert answered == 200
