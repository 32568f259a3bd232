"""What every request passes through."""

import time
from collections.abc import Callable
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from csp.utils import build_policy
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.shortcuts import render
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.deprecation import MiddlewareMixin
from django.utils.translation import gettext as _

from apps.actions.meters import WEB, Count, Spans
from opsconsole import admittance
from opsconsole.aliases import FOR_PROGRAMS, for_programs
from opsconsole.api import problem
from opsconsole.outages import RETRY_SECONDS, sentence

Respond = Callable[[HttpRequest], HttpResponse]

REQUESTS = Count("http_requests_total", "Requests that were answered.", "endpoint", "method", "status")
REQUEST_SECONDS = Spans("http_request_duration_seconds", "How long answers took.", "endpoint", "method", buckets=WEB)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def measured(get_response: Respond) -> Respond:
    """Count every request and its time for /metrics, by the route that answered: addresses hold ids, and secrets."""

    def respond(request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = get_response(request)
        method = request.method if request.method in METHODS else "other"
        REQUESTS.add(_endpoint(request), method, str(response.status_code))
        REQUEST_SECONDS.took(time.perf_counter() - began, _endpoint(request), method)
        return response

    return respond


def _endpoint(request: HttpRequest) -> str:
    if request.resolver_match:
        return f"/{request.resolver_match.route}"
    return "static" if request.path.startswith(f"/{settings.STATIC_URL.lstrip('/')}") else "none"


class Policy(CSPMiddleware):
    """Writes what a page may load, worked out once for a process; an answer that has a policy of its own gets that."""

    def process_request(self, request: HttpRequest) -> None:
        """Offer no nonce, which no page of ours asks for: it would hold the request that holds it."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:  # noqa: D102 # its parent's
        if any(name.startswith("_csp") for name in vars(response)):
            return super().process_response(request, response)
        response.headers.setdefault(HEADER, _policy())
        return response


@cache
def _policy() -> str:
    return build_policy()


class ForPeople(MiddlewareMixin):
    """Passes by what programs post: they show a key, and have no session, no name and no messages of theirs."""

    def __call__(self, request: HttpRequest) -> Any:  # noqa: D102 # Django's own
        program = request.method == "POST" and request.path.startswith(FOR_PROGRAMS)
        return self.get_response(request) if program else super().__call__(request)


class Sessions(ForPeople, SessionMiddleware):
    """The session of whoever is signed in."""


class SignedIn(ForPeople, AuthenticationMiddleware):
    """Who is signed in."""


class Language(LocaleMiddleware):
    """The language of whoever asks. No address of ours has one in it, and most programs name none: then it is ours."""

    def process_request(self, request: HttpRequest) -> None:  # noqa: D102 # its parent's
        if "HTTP_ACCEPT_LANGUAGE" in request.META or "HTTP_COOKIE" in request.META:
            super().process_request(request)
            return
        translation.activate(settings.LANGUAGE_CODE)
        request.LANGUAGE_CODE = settings.LANGUAGE_CODE

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:  # noqa: D102 # its parent's
        patch_vary_headers(response, ("Accept-Language",))
        response.headers.setdefault("Content-Language", translation.get_language())
        return response


class Messages(ForPeople, MessageMiddleware):
    """What the next page says of the last one's work."""


def operations_time_zone(get_response: Respond) -> Respond:
    """Show every time in the zone that staff live in (`OPS_TIME_ZONE`); rows stay in UTC."""

    def respond(request: HttpRequest) -> HttpResponse:
        with timezone.override(ZoneInfo(settings.OPS_TIME_ZONE)):
            return get_response(request)

    return respond


class DatabaseAway:
    """While the database is away, pages answer 503 with a sentence and say when to come again (R04, D19)."""

    def __init__(self, get_response: Respond) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:  # noqa: D102 # Django's own
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer for a view that could not reach the database."""
        if not isinstance(error, OperationalError | InterfaceError):
            return None
        page = render(request, "503.html", {"sentence": sentence(error)}, status=503)
        page["Retry-After"] = str(RETRY_SECONDS)
        return page


def api_answers(get_response: Respond) -> Respond:
    """On the API every refusal is a problem body, an unknown address and a wrong method too, and no answer is cached."""

    def respond(request: HttpRequest) -> HttpResponse:
        if not for_programs(request):
            return get_response(request)
        response = _without_length(request) or get_response(request)
        if response.status_code >= 400 and "json" not in response.headers.get("Content-Type", ""):
            response = _as_problem(request, response)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return respond


def api_limits(get_response: Respond) -> Respond:
    """On the API a client that sends too much is refused, and every answer says what is left. Whom we turn away is noted."""

    def respond(request: HttpRequest) -> HttpResponse:
        response = _within_limits(request, get_response) if _counted(request) else get_response(request)
        if response.status_code in (401, 403, 429):
            admittance.note_refusal(request, response.status_code)
        return response

    return respond


def _counted(request: HttpRequest) -> bool:
    return for_programs(request) or admittance.is_door(request)


def _within_limits(request: HttpRequest, get_response: Respond) -> HttpResponse:
    counted = admittance.count(request)
    standing = admittance.standing_of(request, counted)
    response = get_response(request) if standing.admitted else None
    if response is not None and response.status_code == 401:
        standing = admittance.standing_of(request, counted)  # a key may have closed since
        guessing = admittance.guessing(request)
        standing, response = (standing, response) if guessing.admitted else (guessing, None)
    response = response or admittance.too_many(request, standing)
    for name, value in standing.headers.items():
        response.headers.setdefault(name, value)
    return response


def _without_length(request: HttpRequest) -> HttpResponse | None:
    """Refuse a body that does not say how long it is: Django would take it for none."""
    if "HTTP_TRANSFER_ENCODING" not in request.META:
        return None
    return problem(request, 411, _("Say how long the body is: send it with Content-Length, not in chunks."))


def _as_problem(request: HttpRequest, page: HttpResponse) -> HttpResponse:
    words = {
        404: _("There is nothing at this address. /api/docs lists what there is."),
        405: _("This address does not take %(method)s.") % {"method": request.method},
        503: _("The database cannot be reached. Nothing was changed. Try again in a moment."),
    }
    fault = _("Something went wrong on our side. It is in our log.")
    other = _("The request cannot be read.") if page.status_code < 500 else fault
    answer = problem(request, page.status_code, words.get(page.status_code, other))
    for name in ("Allow", "Retry-After", "RateLimit", "RateLimit-Policy"):
        if name in page.headers:
            answer[name] = page[name]
    return answer
