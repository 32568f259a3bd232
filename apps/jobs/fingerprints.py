"""What shows which secrets a process holds, without showing them."""

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.utils.crypto import salted_hmac
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Words = str | Promise

SECRETS: Mapping[str, Words] = {
    "DATABASE_PASSWORD": _("database password"),
    "REDIS_PASSWORD": _("Redis password"),
    "SECRET_KEY": _("secret key"),
    "API_KEY_PEPPER": _("pepper of API keys"),
}
"""The secrets that a process reads once, at its start. Credentials of services are read at each use."""
LENGTH = 16
"""So many hexadecimal digits tell two secrets apart and give nothing away of either."""


def held() -> dict[str, str]:
    """Return the fingerprint of each secret that this process holds, by the name of its variable.

    The key is the pepper, which stands in no row: whoever reads the table alone can try no password against it. Where
    the pepper itself is another, all of them differ, and the process must be restarted in any case.
    """
    values = {
        "DATABASE_PASSWORD": str(settings.DATABASES["default"].get("PASSWORD") or ""),
        "REDIS_PASSWORD": unquote(urlsplit(settings.REDIS_URL).password or ""),
        "SECRET_KEY": settings.SECRET_KEY,
        "API_KEY_PEPPER": settings.API_KEY_PEPPER,
    }
    return {name: _fingerprint(name, values[name]) for name in SECRETS}


def differing(held: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Return the names of the secrets that are held in another version than the one that is wanted."""
    return [name for name in SECRETS if held.get(name) != wanted.get(name)]


def _fingerprint(name: str, secret: str) -> str:
    return salted_hmac(name, secret, secret=settings.API_KEY_PEPPER, algorithm="sha256").hexdigest()[:LENGTH]
