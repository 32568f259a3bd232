"""The simulator's control door (docs/simulator.md), asked through the door out like everything else."""

from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.utils.translation import gettext as _

from apps.integrations.connectors.answers import json_of
from apps.integrations.egress import Policy, send
from apps.integrations.outcome import EgressRefused, Unanswered

LOOPBACK = "127.0.0.0/8"


class Away(Exception):
    """The simulator did not do what it was asked, in a sentence."""


def ask(method: str, path: str, body: object = None) -> dict[str, Any]:
    """Make one call at the control door and return what it says."""
    url = f"{settings.SIMULATOR_URL}/__sim__/{path}"
    port = urlsplit(url).port or 80
    policy = Policy((ip_network(LOOPBACK),), frozenset({port}), connect_seconds=2, deadline_seconds=5)
    try:
        response = send(requests.Request(method, url, json=body), policy)
    except (Unanswered, EgressRefused) as error:
        raise Away(_("The simulator at %(url)s does not answer: %(why)s.") % {"url": url, "why": error}) from error
    if response.status_code >= 400:
        raise Away(_("The simulator refused %(path)s: %(said)s") % {"path": path, "said": response.text[:300]})
    return dict(json_of(response))


def token(service: str) -> str:
    """Return the token that a service takes now; a new one is made where there was none."""
    for one in ask("GET", "tokens")["tokens"]:
        if (one["service"], one["tenant"]) == (service, ""):
            return str(one["token"])
    return rotate(service)


def rotate(service: str, tenant: str = "") -> str:
    """Have a service take a new token, which is returned; the old one is dead at once."""
    return str(ask("POST", "tokens", {"service": service, "tenant": tenant})["token"])


def conditions(service: str, **changes: Any) -> None:
    """Change how a service is doing."""
    ask("PATCH", f"services/{service}", changes)


def fault(effect: str, **which: Any) -> int:
    """Set a fault and return its number."""
    return int(ask("POST", "faults", {"effect": effect, **which})["id"])


def drop_fault(number: int) -> None:
    """Take one fault away."""
    ask("DELETE", f"faults/{number}")


def break_down(service: str) -> None:
    """Let a service answer 503 until it is mended."""
    ask("POST", "outage", {"service": service, "on": True})


def mend(service: str) -> None:
    """Bring a service up again and take away every fault that stands."""
    ask("POST", "outage", {"service": service, "on": False})
    ask("DELETE", "faults")
