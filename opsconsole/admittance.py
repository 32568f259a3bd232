"""Before the API answers: has this client sent too much? After it: was it turned away? (S19)."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.integrations import keys, refusals
from apps.integrations.admission import Standing, admit, admit_all
from apps.integrations.clients import client_address, neighbourhood
from apps.integrations.models import AccessRefusal, RateLimit, SourceRefusal
from opsconsole import openapi
from opsconsole.api import api, problem
from opsconsole.authentication import digest_shown, find_anew, key_found, key_shown

PARAMETER = re.compile(r"\\{\w+\\}")
REASONS = {AccessRefusal.Reason.KEY_REQUIRED, AccessRefusal.Reason.INVALID_KEY, AccessRefusal.Reason.CLOSED_KEY}


def is_door(request: HttpRequest) -> bool:
    """Say whether a request comes to a door of webhooks, which are signed and bear no key."""
    return request.path.startswith("/webhook/")


def count(request: HttpRequest) -> list[Standing]:
    """Count a request: against its address, and against the key that it shows or the door it comes to."""
    address, shown = (_address(request), RateLimit.Name.ADDRESS), key_shown(request)
    if is_door(request):
        request.hands_in = True  # type: ignore[attr-defined] # read by the log
        door = f"door:{request.path.split('/')[2][:60]}:{_address(request)}"
        return admit_all(address, (door, RateLimit.Name.HANDING_IN))
    if not shown:
        return admit_all(address)
    return admit_all(address, (f"key:{digest_shown(request)[:32]}", _limit_of(request)))


def standing_of(request: HttpRequest, counted: Sequence[Standing]) -> Standing:
    """Return how the client stands that was counted.

    How a key stands is told to whom it opens something; anybody else is one of an address.
    """
    if is_door(request) or len(counted) == 1:
        return counted[-1]
    if not counted[-1].admitted:
        find_anew(request)  # whoever is turned away is told by the key as it is now
    return counted[-1] if _open_key(request) else counted[0]


def too_many(request: HttpRequest, standing: Standing) -> HttpResponse:
    """Refuse a request that comes too soon."""
    words = ngettext(
        "Too many requests: %(most)s in %(seconds)s seconds are allowed. Try again in %(wait)s second.",
        "Too many requests: %(most)s in %(seconds)s seconds are allowed. Try again in %(wait)s seconds.",
        standing.retry_after,
    )
    told = {"most": standing.limit.requests, "seconds": standing.limit.seconds, "wait": standing.retry_after}
    return problem(request, 429, words % told, code="rate_limited", retry_after=standing.retry_after)


def guessing(request: HttpRequest) -> Standing:
    """Count a request that was turned away for its key: who guesses is soon not even told that it is wrong."""
    return admit(_address(request), RateLimit.Name.TURNED_AWAY)


def note_refusal(request: HttpRequest, status: int) -> None:
    """Write down that a request was turned away, and by whom it came."""
    address, match = client_address(request), request.resolver_match
    who, where = _who(request), f"{request.method} /{match.route}" if match else ""
    if status == 429:
        refusals.note_flood(address=address, who=who, where=where)
        return
    code = getattr(request, "refused_as", "")
    if code in SourceRefusal.Reason.values:
        return  # counted at the door of its source
    reason = code if code in REASONS else AccessRefusal.Reason.NOT_PERMITTED
    refusals.note(reason, address=address, who=who, where=where)


def _address(request: HttpRequest) -> str:
    return f"address:{neighbourhood(client_address(request))}"


def _open_key(request: HttpRequest) -> Any:
    """Return the open key of a request; None, too, while the database is away, which the call itself will say."""
    try:
        key = key_found(request)
    except Error:
        return None
    return key if key and key.opens else None


def _limit_of(request: HttpRequest) -> str:
    path = request.path if request.path.startswith("/api/") else f"/api{request.path}"
    if request.method != "POST" or not _handing_in().fullmatch(path):
        return RateLimit.Name.READS_AND_VERBS
    request.hands_in = True  # type: ignore[attr-defined] # read by the log
    return RateLimit.Name.HANDING_IN


@cache
def _handing_in() -> re.Pattern[str]:
    """Return what the paths look like by which work is handed in: the documentation marks them."""
    marked = [path for path, methods in openapi.calls(api).items() if methods.get("post", {}).get("x-rate-limit")]
    return re.compile("|".join(PARAMETER.sub("[^/]+", re.escape(path)) for path in marked))


def _who(request: HttpRequest) -> str:
    """Return whom a request says it is from: a key of ours, what another text that looks like one begins with, or a person."""
    key, shown = getattr(request, "key", None), key_shown(request)
    if key:
        return str(key)
    if shown:
        return f"{shown[: len(keys.MARK) + 4]}…" if shown.startswith(keys.MARK) else _("no key of ours")
    user = getattr(request, "user", None)
    return user.get_username() if user is not None and user.is_authenticated else ""
