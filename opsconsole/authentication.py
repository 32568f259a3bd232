"""Who asks on the API: a key in `X-API-Key` or as a bearer token. Sessions are not accepted."""

from typing import Any

from django.http import HttpRequest
from ninja.security import APIKeyHeader, HttpBearer

from apps.actions.actors import Actor, Door
from apps.integrations import keys
from apps.integrations.clients import client_address


class KeyHeader(APIKeyHeader):
    """`X-API-Key: ops_…`."""

    param_name = "X-API-Key"

    def authenticate(self, request: HttpRequest, key: str | None) -> Actor | None:
        """Return who the key stands for."""
        return key_holder(request)


class BearerKey(HttpBearer):
    """`Authorization: Bearer ops_…`, the same keys."""

    def authenticate(self, request: HttpRequest, token: str) -> Actor | None:
        """Return who the key stands for."""
        return key_holder(request)


def key_shown(request: HttpRequest) -> str:
    """Return the key that a request carries, or nothing."""
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return request.headers.get("X-API-Key", "").strip() or bearer


def key_holder(request: HttpRequest) -> Actor | None:
    """Return who a request's key stands for, looked up once per request; None without a key that is known and open."""
    if not hasattr(request, "actor"):
        key = key_found(request)
        actor = Actor(door=Door.API, name=key.name, grants=keys.grants(key)) if key and key.opens else None
        request.actor = actor  # type: ignore[attr-defined] # kept on the request for the next who asks
    found: Actor | None = request.actor  # type: ignore[attr-defined] # set above
    return found


def key_found(request: HttpRequest) -> Any:
    """Return the row of a request's key, open (`opens`) or not, looked up once per request; None where it is unknown."""
    if not hasattr(request, "key"):
        key = keys.find(key_shown(request), client_address(request)) if key_shown(request) else None
        request.key = key  # type: ignore[attr-defined] # kept on the request for the next who asks
    return request.key  # type: ignore[attr-defined] # set above
