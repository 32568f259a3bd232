"""From a service's row to what its connector and the door out need: where it is, what we show it, what it may reach."""

from ipaddress import ip_network
from urllib.parse import urlsplit

from django.utils.translation import gettext as _
from django_stubs_ext import StrOrPromise

from apps.integrations.connectors import CONNECTORS
from apps.integrations.connectors.shape import Connector, Site
from apps.integrations.credentials import credential
from apps.integrations.egress import Policy
from apps.integrations.models import Service

STANDARD_PORTS = frozenset({80, 443})


def connector_of(service: Service) -> Connector:
    """Return the connector that speaks to a service."""
    return CONNECTORS[service.connector]


def site_of(service: Service) -> Site:
    """Return where a service is and what we show it, its secrets read now."""
    secrets = {word: credential(name).value for word, name in service.credentials.items()}
    return Site(service.base_url, secrets, service.options)


def policy_of(service: Service) -> Policy:
    """Return what calls to a service may reach: its own port, public addresses, and the private networks of its row."""
    port = urlsplit(service.base_url).port
    return Policy(
        networks=tuple(ip_network(network) for network in service.allowed_networks),
        ports=STANDARD_PORTS | ({port} if port else frozenset()),
        connect_seconds=service.connect_seconds,
        deadline_seconds=service.deadline_seconds,
    )


def in_clear(service: Service) -> str:
    """Say that our credentials cross the network unencrypted, where they do; nothing on this machine."""
    url = urlsplit(service.base_url)
    if url.scheme != "http" or not service.credentials or (url.hostname or "").startswith(("127.", "localhost")):
        return ""
    words = _(
        "%(service)s is called over clear HTTP: whoever is on the way reads our password. Ask for HTTPS or a tunnel."
    )
    return words % {"service": service.slug}


def unusable(error: Exception) -> str:
    """Say that a service's row names a connector, a network or a port that there is not."""
    return _("The settings of the service cannot be used: %s. Correct them, then reset its breaker.") % error


def missing_credentials(service: Service) -> list[str]:
    """Return a sentence for each credential that a service needs and that is set nowhere."""
    connector = connector_of(service)
    needed = [word for word in connector.credentials if word in service.credentials or word not in connector.optional]
    named = [(connector.credentials[word], service.credentials.get(word, "")) for word in needed]
    return [_missing(service, label, name) for label, name in named if not name or not credential(name).value]


def _missing(service: Service, label: StrOrPromise, name: str) -> str:
    told = {"service": service.slug, "label": label, "name": name}
    if name:
        return _("%(service)s has no %(label)s: set %(name)s.") % told
    return _("%(service)s has no %(label)s: name one on its page.") % told
