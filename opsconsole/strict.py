"""Nothing that a client sends is passed over: a misspelt word in an address, or a body where none is read, would be lost in silence.

`process` with `{"batch_size": 10}` in its body, where it stands in the address, would otherwise retry everything.
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache

from django.http import HttpRequest
from django.urls import resolve
from django.utils.translation import gettext as _
from ninja import NinjaAPI

from apps.actions.selections import closest
from apps.actions.verbs import Invalid, UnknownFilter
from opsconsole import openapi

PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Call:
    """What a call reads of a request, as the documentation has it."""

    words: tuple[str, ...]
    reads_body: bool
    filters: bool
    """It is a list (its id in the documentation ends so), whose own reading of the address refuses what it does not know."""


def require_all_known(request: HttpRequest, api: NinjaAPI) -> None:
    """Raise `UnknownFilter` for a word in the address that the call does not read, or that stands twice; `Invalid` for a body."""
    call = _calls(api).get((str(request.method), _template(request)))
    if call is None:
        return
    for word, values in request.GET.lists():
        if len(values) > 1:
            words = _("The word %(word)s stands %(times)s times in the address; one value is read.")
            raise UnknownFilter(words % {"word": word[:80], "times": len(values)}, code="word_repeated")
    for word in () if call.filters else request.GET:
        if word not in call.words:
            hint = closest(word, call.words) if call.words else _("it takes none.")
            raise UnknownFilter(
                _("This call does not read %(word)s in its address; %(hint)s") % {"word": word[:80], "hint": hint},
                code="unknown_word",
            )
    if request.method == "POST" and not call.reads_body and request.body.strip() not in (b"", b"{}"):
        told = _("This call reads no body: what it takes stands in its address (%(words)s). Nothing was done.")
        raise Invalid(told % {"words": ", ".join(call.words) or _("none")}, code="no_body_read")


@cache
def _calls(api: NinjaAPI) -> dict[tuple[str, str], Call]:
    return {
        (method.upper(), path): Call(
            tuple(each["name"] for each in call.get("parameters", []) if each["in"] == "query"),
            "requestBody" in call,
            call["operationId"].endswith("_list"),
        )
        for path, methods in openapi.calls(api).items()
        for method, call in methods.items()
    }


def _template(request: HttpRequest) -> str:
    """Return the path of a call as the documentation writes it; a path without /api stands for its twin."""
    match = request.resolver_match if request.path.startswith("/api/") else resolve(f"/api{request.path}")
    return _written(match.route) if match else ""


@lru_cache(maxsize=1024)
def _written(route: str) -> str:
    return "/" + PARAMETER.sub(r"{\1}", route)
