import json
import os
import socket
import ssl
from pathlib import Path

import pytest
import requests

from apps.integrations.addresses import Names
from apps.integrations.egress import Calls, send
from apps.integrations.outcome import EgressRefused
from tests.integrations.conftest import Listen, open_to
from tests.integrations.listener import Listener, answering


def sent(listener: Listener, request: requests.Request) -> tuple[str, dict[str, str], bytes]:
    """What arrived: the request line, the headers in lower case, the body."""
    request.url = request.url or f"{listener.url}/x"
    send(request, open_to(listener))
    head, _blank, body = listener.requests[-1].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first, {name.lower(): value for name, _colon, value in (line.partition(": ") for line in lines)}, body


@pytest.fixture
def listener(listen: Listen) -> Listener:
    return listen(answering("200 OK\r\nContent-Type: application/json\r\nX-Request-Id: 7", b'{"id": 1}'))


def test_json_arrives_as_json(listener: Listener) -> None:
    line, headers, body = sent(listener, requests.Request("POST", json={"título": "São João"}))
    assert (line, headers["content-type"]) == ("POST /x HTTP/1.1", "application/json")
    assert json.loads(body) == {"título": "São João"}


def test_a_form_arrives_as_a_form(listener: Listener) -> None:
    _line, headers, body = sent(listener, requests.Request("POST", data={"a": "1 2", "b": ["x", "y"]}))
    assert (headers["content-type"], body) == ("application/x-www-form-urlencoded", b"a=1+2&b=x&b=y")


def test_bytes_arrive_as_they_are(listener: Listener) -> None:
    _line, headers, body = sent(listener, requests.Request("PUT", data=b"\x00\x01", headers={"Content-Type": "a/b"}))
    assert (headers["content-type"], headers["content-length"], body) == ("a/b", "2", b"\x00\x01")


def test_parameters_and_basic_authentication_are_prepared_by_requests(listener: Listener) -> None:
    line, headers, _body = sent(listener, requests.Request("GET", params={"q": "á b"}, auth=("u", "p")))
    assert (line, headers["authorization"]) == ("GET /x?q=%C3%A1+b HTTP/1.1", "Basic dTpw")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_each_method_arrives_as_itself(method: str, listen: Listen) -> None:
    listener = listen(answering("200 OK"))
    line, _headers, _body = sent(listener, requests.Request(method))
    assert line == f"{method} /x HTTP/1.1"


def test_a_handle_that_was_used_before_remembers_nothing(listen: Listen) -> None:
    listener, calls = listen(answering("200 OK")), Calls()
    for request in (
        requests.Request("POST", f"{listener.url}/1", json={"a": 1}, headers={"X-Secret": "s"}),
        requests.Request("HEAD", f"{listener.url}/2"),
        requests.Request("GET", f"{listener.url}/3"),
    ):
        calls.start(request.url, request, open_to(listener))
        calls.wait(10)
    calls.close()
    lines = [request.split(b"\r\n")[0] for request in listener.requests]
    assert lines == [b"POST /1 HTTP/1.1", b"HEAD /2 HTTP/1.1", b"GET /3 HTTP/1.1"]
    assert b"Secret" not in listener.requests[2]
    assert listener.requests[2].endswith(b"\r\n\r\n")


def test_an_answer_is_read_as_requests_reads_it(listener: Listener) -> None:
    response = send(requests.Request("GET", f"{listener.url}/x"), open_to(listener))
    assert (response.status_code, response.reason, response.json()) == (200, "OK", {"id": 1})
    assert (response.headers["x-request-id"], response.encoding, response.ok) == ("7", "utf-8", True)


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\x00b", "ação"])
def test_a_header_cannot_carry_another_one(value: str, listener: Listener) -> None:
    with pytest.raises(EgressRefused, match="the header X-Name holds what no header may"):
        sent(listener, requests.Request("GET", headers={"X-Name": value}))
    assert listener.connections == 0


def test_a_value_that_json_does_not_know_is_refused(listener: Listener) -> None:
    with pytest.raises(EgressRefused, match="could not be made"):
        sent(listener, requests.Request("POST", json={"a": float("nan")}))


def test_the_proxy_of_the_environment_is_not_used(
    listener: Listener, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = listen(answering("200 OK"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setitem(os.environ, name, proxy.url)
    sent(listener, requests.Request("GET"))
    assert (proxy.connections, listener.connections) == (0, 1)


def test_an_untrusted_certificate_is_refused_before_anything_is_sent(listen: Listen) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).with_name("untrusted.pem"))

    def over_tls(listener: Listener, connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tunnel:
            listener.read(tunnel)

    listener = listen(over_tls)
    url = f"https://crm.example.com:{listener.port}/"
    with pytest.raises(EgressRefused, match=r"certificate .* is not trusted"):
        send(requests.Request("POST", url, json={}), open_to(listener), Names(lambda host: ["127.0.0.1"]))
    assert listener.requests == []
