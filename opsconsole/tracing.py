"""The trace of a request, from its `traceparent` or made here: on every line of the log, on the rows it makes, in the answer."""

import logging
import time
from typing import cast

from django.http import HttpRequest, HttpResponse
from django_structlog.middlewares import RequestMiddleware

from apps.integrations.masking import masked_url
from apps.integrations.traces import trace_of, within

log = logging.getLogger(__name__)

LOOKING = ("GET", "HEAD", "OPTIONS")


class Traced(RequestMiddleware):
    """Binds a request's trace, and says in one line what became of it; a look that went well is no line of ours.

    Nor is work that was handed in and taken: what was made of it has a line, of the same trace.
    """

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer within the request's trace."""
        trace = trace_of(request.META.get("HTTP_TRACEPARENT"), request.META.get("HTTP_TRACESTATE"))
        began = time.perf_counter()
        with within(trace.traceparent, **_named(request)):
            response = cast("HttpResponse", self.get_response(request))
            response.headers.setdefault("X-Correlation-ID", trace.id)
            if not hasattr(request, "_raised_exception"):  # that one has a line already, with its traceback
                _tell(request, response.status_code, began)
        return response

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        """Return what was asked, masked."""
        return masked_url(f"{request.method} {request.get_full_path()}")


def _named(request: HttpRequest) -> dict[str, str]:
    """Return what its sender calls a request; the trace, which is ours where they send none, tells it from others."""
    told = {
        "request_id": request.META.get("HTTP_X_REQUEST_ID"),
        "correlation_id": request.META.get("HTTP_X_CORRELATION_ID"),
    }
    return {name: value for name, value in told.items() if value}


def _tell(request: HttpRequest, status: int, began: float) -> None:
    level = _level(request, status)
    if not log.isEnabledFor(level):
        return
    took = round((time.perf_counter() - began) * 1000)
    name = request.user.get_username() if getattr(request, "_cached_user", None) else ""
    who = {"who": name} if name else {}
    words = "%s answered %s in %s ms"
    log.log(level, words, Traced.format_request(request), status, took, extra={"code": status, **who})


def _level(request: HttpRequest, status: int) -> int:
    if status >= 500:
        return logging.ERROR
    if status >= 400:
        return logging.WARNING
    quiet = request.method in LOOKING or hasattr(request, "hands_in")
    return logging.DEBUG if quiet else logging.INFO
