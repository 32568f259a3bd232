"""Which addresses may be dialled, and what a name stands for. Names are looked up by us, so that what is checked is dialled."""

import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

REMEMBERED_SECONDS, FORGOTTEN_SECONDS = 60.0, 5.0
"""How long a name's addresses are used again, and how long a name that was not found is not asked for."""

WRAPPING = ["64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"]
"""Each hides an IPv4 address that some gateway on the way may unwrap."""
OVERLOOKED = [
    "100.64.0.0/10",
    "192.0.0.0/24",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "240.0.0.0/4",
    "5f00::/16",
    "fec0::/10",
    "2001:db8::/32",
    "100::/64",
]
"""Not for the public, whatever this Python's `is_global` says of them."""
REFUSED = [ipaddress.ip_network(network) for network in WRAPPING + OVERLOOKED]


def allowed(address: Address) -> bool:
    """Whether an address is plainly one of the public internet."""
    address = _unwrapped(address)
    if any(address in network for network in REFUSED if network.version == address.version):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


@lru_cache(maxsize=4096)
def may_dial(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether an address is public or stands in one of the networks that were opened explicitly."""
    try:
        ip = _unwrapped(ipaddress.ip_address(address))
    except ValueError:
        return False
    return allowed(ip) or any(ip in network for network in networks if network.version == ip.version)


def resolve(host: str) -> list[str]:
    """Return all addresses of a host, as the system finds them; raise `OSError` where it finds none."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


class Names:
    """What names stand for, each looked up in a thread of its own, so that a silent name server holds up nobody else."""

    def __init__(self, resolve: Callable[[str], list[str]] = resolve) -> None:
        self._resolve = resolve
        self._known: dict[str, tuple[float, Future[list[str]]]] = {}

    def find(self, host: str) -> Future[list[str]]:
        """Return the host's addresses: known, or on their way."""
        expires, future = self._known.get(host, (0.0, None))
        if future is None or (expires < time.monotonic() and future.done()):
            future = self._asked(host)
        return future

    def _asked(self, host: str) -> Future[list[str]]:
        future: Future[list[str]] = Future()
        self._known[host] = (time.monotonic() + REMEMBERED_SECONDS, future)
        threading.Thread(target=self._look_up, args=(host, future), daemon=True).start()
        return future

    def _look_up(self, host: str, future: Future[list[str]]) -> None:
        try:
            future.set_result(self._resolve(host))
        except (OSError, UnicodeError) as error:
            self._known[host] = (time.monotonic() + FORGOTTEN_SECONDS, future)
            future.set_exception(error)


def _unwrapped(address: Address) -> Address:
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
