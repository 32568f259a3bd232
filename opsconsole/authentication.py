"""Who asks on the API: a key in `X-API-Key` or as a bearer token. Sessions are not accepted."""

from typing import Any

from django.http import HttpRequest
from ninja.security import APIKeyHeader, HttpBearer

from apps.actions.actors import Actor, Door
from apps.integrations import keys
from apps.integrations.clients import client_address

SEALING = ("/api/events",)
"""Where a key may be recalled: what is written there is sealed, and all else decided anew (`decided_anew`)."""


class KeyHeader(APIKeyHeader):
    """`X-API-Key: ops_…`."""

    param_name = "X-API-Key"

    def _get_key(self, request: HttpRequest) -> str | None:
        return key_shown(request)

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
    shown = request.META.get("HTTP_X_API_KEY", "").strip()
    if shown:
        return str(shown)
    scheme, _space, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def digest_shown(request: HttpRequest) -> str:
    """Return what is stored of the key that a request carries, worked out once per request."""
    if not hasattr(request, "digest_shown"):
        request.digest_shown = keys.digest(key_shown(request))  # type: ignore[attr-defined] # kept on the request for the next who asks
    told: str = request.digest_shown  # type: ignore[attr-defined] # set above
    return told


def key_holder(request: HttpRequest) -> Actor | None:
    """Return who a request's key stands for, looked up once per request; None without a key that is known and open."""
    if not hasattr(request, "actor"):
        key = key_found(request)
        actor = Actor(door=Door.API, name=key.name, grants=keys.grants(key)) if key and key.opens else None
        request.actor = actor  # type: ignore[attr-defined] # kept on the request for the next who asks
    found: Actor | None = request.actor  # type: ignore[attr-defined] # set above
    return found


def key_found(request: HttpRequest) -> Any:
    """Return the row of a request's key, open (`opens`) or not, looked up once per request; None where it is unknown.

    Where the request seals what it writes (`sealing`), an open key may be recalled; `find_anew` undoes that.
    """
    if not hasattr(request, "key"):
        shown, address = key_shown(request), client_address(request)
        recalled = keys.recall(digest_shown(request), address) if sealing(request) else None
        request.recalled = recalled is not None  # type: ignore[attr-defined] # read by what seals
        request.key = recalled or (keys.find(shown, address) if shown else None)  # type: ignore[attr-defined] # kept on the request for the next who asks
    return request.key  # type: ignore[attr-defined] # set above


def sealing(request: HttpRequest) -> bool:
    """Say whether a request is of the kind that comes most often, one event: its statement proves the key once more."""
    return (
        request.path in SEALING
        and request.method == "POST"
        and request.content_type == "application/json"
        and not hasattr(request, "found_anew")
        and "HTTP_IDEMPOTENCY_KEY" not in request.META
    )


def find_anew(request: HttpRequest) -> bool:
    """Forget a key that was recalled, so that the next who asks reads it; say whether there was one."""
    recalled = getattr(request, "recalled", False)
    if recalled:
        request.found_anew = True  # type: ignore[attr-defined] # read by `sealing`
        for name in ("recalled", "key", "actor"):
            vars(request).pop(name, None)
    return recalled
