import ipaddress
from collections.abc import Callable, Iterator

import pytest

from apps.integrations.egress import Policy
from tests.integrations.listener import Listener, Script

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
Listen = Callable[..., Listener]


@pytest.fixture
def listen() -> Iterator[Listen]:
    listeners: list[Listener] = []

    def start(script: Script, host: str = "127.0.0.1") -> Listener:
        listeners.append(Listener(script, host))
        return listeners[-1]

    yield start
    for listener in listeners:
        if not listener.done.is_set():
            listener.close()


def open_to(listener: Listener, deadline_seconds: float = 10, max_bytes: int = 100_000) -> Policy:
    """A policy that lets calls through to a listener."""
    return Policy(LOOPBACK, frozenset({listener.port}), deadline_seconds, deadline_seconds, max_bytes)
