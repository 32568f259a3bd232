"""Where a request comes from: the address that the last proxy we trust saw, and nothing that anyone may write."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the address of the client; empty where it came over a socket of this machine (S13).

    Each of our proxies adds, on the right, whom it was asked by. So of `OPS_TRUSTED_PROXIES` proxies the client is that many
    from the right; without proxies the header is not looked at.
    """
    seen = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if settings.TRUSTED_PROXIES else []
    told = seen[-settings.TRUSTED_PROXIES] if len(seen) >= settings.TRUSTED_PROXIES > 0 else ""
    return _plain(told) or _plain(request.META.get("REMOTE_ADDR", ""))


@lru_cache(maxsize=1024)
def neighbourhood(address: str) -> str:
    """Return what is counted as one client: an IPv4 address, or the /64 that an IPv6 client chooses its addresses from."""
    if not address or not isinstance(ip_address(address), IPv6Address):
        return address
    return str(ip_network(f"{address}/64", strict=False))


@lru_cache(maxsize=1024)
def _plain(text: str) -> str:
    try:
        found = ip_address(
            text.strip().partition("%")[0]
        )  # the zone of a link-local address is this machine's own word
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)
