from typing import Any

import pytest
from django.test import RequestFactory

from apps.integrations.clients import client_address, neighbourhood


def seen(told: str = "", peer: str = "192.0.2.9") -> str:
    headers = {"X-Forwarded-For": told} if told else {}
    return client_address(RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers))


def test_without_proxies_the_header_is_not_believed() -> None:
    assert seen("203.0.113.5") == "192.0.2.9"


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("6.6.6.6, 203.0.113.5", "203.0.113.5"),
        ("", "192.0.2.9"),
        ("nonsense", "192.0.2.9"),
        ("203.0.113.5:443", "192.0.2.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
    ],
)
def test_behind_one_proxy_the_last_address_is_the_clients(settings: Any, told: str, address: str) -> None:
    settings.TRUSTED_PROXIES = 1
    assert seen(told) == address


def test_behind_two_proxies_it_is_the_last_but_one(settings: Any) -> None:
    settings.TRUSTED_PROXIES = 2
    assert seen("6.6.6.6, 203.0.113.5, 10.0.0.1") == "203.0.113.5"
    assert seen("10.0.0.1") == "192.0.2.9"


def test_a_socket_of_this_machine_has_no_address() -> None:
    assert seen(peer="") == ""


def test_an_ipv6_client_is_counted_by_its_network() -> None:
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::2") == "2001:db8::/64"
    assert neighbourhood("203.0.113.5") == "203.0.113.5"
