import ipaddress
import threading

import pytest
import requests

from apps.integrations.addresses import Names, allowed, may_dial
from apps.integrations.egress import Calls, Policy, send
from apps.integrations.outcome import EgressRefused, Unanswered
from tests.integrations.conftest import LOOPBACK, Listen, open_to
from tests.integrations.listener import answering

NOT_PUBLIC = """
    0.0.0.0 10.0.0.1 100.64.0.1 127.0.0.1 169.254.169.254 172.16.0.1 192.0.0.8 192.0.2.1 192.88.99.1 192.168.1.1
    198.18.0.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255
    :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 64:ff9b:1::1 100::1 2001::1 2001:db8::1 2002:7f00:1::
    5f00::1 fc00::1 fe80::1 fec0::1 ff02::1
""".split()  # noqa: SIM905 - reads better than fifty quotes

# Each of these is 127.0.0.1 to one reader of addresses or another, or tries to be read in two ways.
FORMS = """
    http://127.0.0.1 http://127.1 http://127.0.1 http://2130706433 http://0x7f000001 http://0x7f.1 http://0x7f.0.0.1
    http://017700000001 http://0177.0.0.1 http://0177.1 http://00000177.0.0.1 http://127.0.0.1. http://localhost
    http://LOCALHOST http://localhost. http://[::1] http://[0:0:0:0:0:0:0:1] http://[::ffff:127.0.0.1] http://[::ffff:7f00:1]
    http://[::127.0.0.1] http://[64:ff9b::7f00:1] http://[2002:7f00:1::] http://[::] http://[::1%25lo] http://[fe80::1%25lo]
    http://0 http://0.0.0.0 http://①②⑦.0.0.1 http://127。0。0。1 http://127%2e0.0.1 http://%31%32%37.0.0.1
    http://user@127.0.0.1 http://127.0.0.1@127.0.0.1 http://a:b@127.0.0.1 http://example.com@127.0.0.1
    http://127.0.0.1\\@example.com http://example.com\\@127.0.0.1 http://127.0.0.1#@example.com http:127.0.0.1
    http:///127.0.0.1 http:/127.0.0.1 //127.0.0.1 127.0.0.1 HTTP://127.0.0.1 http://127.0.0.1\\x https://127.0.0.1
    file:///etc/passwd gopher://127.0.0.1 dict://127.0.0.1 ftp://127.0.0.1 ldap://127.0.0.1 ws://127.0.0.1
    javascript:alert(1) data:,x http://[127.0.0.1] http://[::1 http://::1 http://127.0.0.1:99999 http://127.0.0.1:-1
    http://127.0.0.1:80:80 http://.127.0.0.1 http://-127.0.0.1 http://ⓛocalhost http://l\u043ecalhost
""".split()  # noqa: SIM905 - reads better than fifty quotes


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_may_not_be_dialled(address: str) -> None:
    assert not allowed(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "200.160.2.3", "2001:12ff::1", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_a_public_address_may_be_dialled(address: str) -> None:
    assert may_dial(address, ())


def test_a_private_address_may_be_dialled_where_its_network_was_opened() -> None:
    assert may_dial("10.1.2.3", (ipaddress.ip_network("10.1.0.0/16"),))
    assert not may_dial("10.2.2.3", (ipaddress.ip_network("10.1.0.0/16"),))


@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_a_local_address_reaches_a_listener(form: str, listen: Listen) -> None:
    listener = listen(answering("200 OK"))
    url = form if ":" in form.rpartition("]")[2].partition("://")[2] else f"{form}:{listener.port}/"
    with pytest.raises((EgressRefused, Unanswered)):
        send(requests.Request("GET", url), Policy(ports=frozenset({listener.port, 80, 443}), connect_seconds=2))
    assert listener.connections == 0


def test_a_port_that_is_not_the_services_own_is_refused(listen: Listen) -> None:
    listener = listen(answering("200 OK"))
    with pytest.raises(EgressRefused, match=f"Port {listener.port} of 127.0.0.1"):
        send(requests.Request("GET", listener.url), Policy(LOOPBACK))


def test_a_name_is_refused_where_one_of_its_addresses_is_private(listen: Listen) -> None:
    listener = listen(answering("200 OK"))
    names = Names(lambda host: ["93.184.215.14", "127.0.0.1"])
    policy = Policy(ports=frozenset({listener.port}))
    with pytest.raises(EgressRefused, match=r"is at 127\.0\.0\.1, which is no public address"):
        send(requests.Request("GET", f"http://crm.example.com:{listener.port}/"), policy, names)
    assert listener.connections == 0


def test_the_address_that_was_checked_is_the_one_that_is_dialled(listen: Listen) -> None:
    good, evil = listen(answering("200 OK"), "127.0.0.1"), listen(answering("200 OK"), "127.0.0.2")
    rebinding = iter([["127.0.0.1"], ["127.0.0.2"]])
    names = Names(lambda host: next(rebinding))
    policy = Policy((ipaddress.ip_network("127.0.0.1/32"),), frozenset({good.port, evil.port}))
    send(requests.Request("GET", f"http://crm.example.com:{good.port}/"), policy, names)
    assert (good.connections, evil.connections) == (1, 0)


def test_a_name_that_comes_to_mean_another_address_is_checked_again(listen: Listen) -> None:
    listener = listen(answering("200 OK"))
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    url = f"http://crm.example.com:{listener.port}/"
    send(requests.Request("GET", url), open_to(listener), Names(lambda host: next(answers)))
    with pytest.raises(EgressRefused, match=r"169\.254\.169\.254"):
        send(requests.Request("GET", url), open_to(listener), Names(lambda host: next(answers)))


def test_the_original_name_is_sent_as_host(listen: Listen) -> None:
    listener = listen(answering("200 OK"))
    url = f"http://crm.example.com:{listener.port}/x"
    send(requests.Request("GET", url), open_to(listener), Names(lambda host: ["127.0.0.1"]))
    assert f"Host: crm.example.com:{listener.port}".encode() in listener.requests[0]


def test_a_name_that_nobody_knows_is_no_answer_and_nothing_was_sent() -> None:
    def unknown(host: str) -> list[str]:
        raise OSError("Name or service not known")

    with pytest.raises(Unanswered, match=r"crm\.example\.com was not found") as caught:
        send(requests.Request("GET", "http://crm.example.com/"), Policy(), Names(unknown))
    assert not caught.value.sent


def test_a_silent_name_server_holds_up_nobody_else(listen: Listen) -> None:
    listener, silence = listen(answering("200 OK")), listen(answering("200 OK"))
    never = threading.Event()
    names = Names(lambda host: ["127.0.0.1"] if host == "fast.example.com" else [str(never.wait(20))])
    calls = Calls(names)
    calls.start("slow", requests.Request("GET", f"http://slow.example.com:{silence.port}/"), open_to(silence, 0.5))
    calls.start("fast", requests.Request("GET", f"http://fast.example.com:{listener.port}/"), open_to(listener))
    order = [tag for _ in range(2) for tag, _answer in calls.wait(10)]
    never.set()
    calls.close()
    assert order == ["fast", "slow"]
