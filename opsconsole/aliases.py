"""Runbook paths without /api: the same calls, and for whoever would rather read HTML the page that shows the same."""

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, resolve, reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt

PAGES = {
    "status": "admin:dashboard",
    "dashboard": "admin:dashboard",
    "circuit-breakers": "admin:integrations_circuitbreaker_changelist",
    "dlq": "admin:deadletters_deadletter_changelist",
    "metrics": "admin:health",
    "health/detailed": "admin:health",
}
"""Each first word of a path that is answered without /api, and the page that shows the same. Of health, one path alone:
the others are open, and answered without a look at the database."""
FOR_PROGRAMS = ("/api/", "/webhook/")
"""What stands under these is asked for by programs alone."""
RUNBOOK_1 = ("/status", "/dashboard", "/alerts", "/circuit-breakers", "/dlq")
"""Clients of these paths read `error` in a refusal; the others read `detail` (contracts 1.1)."""


def for_programs(request: HttpRequest) -> bool:
    """Say whether an answer of the API is due: under /api/ and at webhook doors, or at one of its paths where a program asks."""
    if request.path.startswith(FOR_PROGRAMS):
        return True
    return _word(request) in PAGES and not _would_rather_read(request)


def speaks_of_error(request: HttpRequest) -> bool:
    """Say whether a refusal is also told as `error`."""
    here = "/" + request.path.removeprefix("/api/").lstrip("/")
    return any(here == path or here.startswith(f"{path}/") for path in RUNBOOK_1)


@csrf_exempt  # answered by the API, which takes keys and no sessions
def without_api(request: HttpRequest, **_words: str) -> HttpResponseBase:
    """Answer a path as its twin under /api does; lead a browser to the page."""
    if _would_rather_read(request):
        answer: HttpResponseBase = redirect(_page(request))
    else:
        twin = resolve(f"/api{request.path}")
        answer = twin.func(request, *twin.args, **twin.kwargs)
    if isinstance(answer, HttpResponse):
        patch_vary_headers(answer, ["Accept"])
    return answer


def _page(request: HttpRequest) -> str:
    """Return the page that shows the same; of the words, the state is its own too."""
    page = reverse(PAGES[_word(request)])
    status = request.GET.get("status")
    return f"{page}?{urlencode({'status': status})}" if status else page


def _word(request: HttpRequest) -> str:
    path = request.path[1:]
    return path if path in PAGES else path.split("/")[0]


def _would_rather_read(request: HttpRequest) -> bool:
    return request.method in ("GET", "HEAD") and (
        request.get_preferred_type(["application/json", "text/html"]) == "text/html"
    )


def urls() -> list[URLPattern]:
    """Return the paths."""
    below = [path(f"{word}/<path:rest>", without_api) for word in PAGES if "/" not in word]
    return [*(path(word, without_api) for word in PAGES), *below]
