"""The root of the API under /api/: who may ask, how bodies are read, and every refusal as one problem body."""

import datetime as dt
import json
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from csp.decorators import csp_update
from django.contrib.auth.decorators import login_required
from django.core.exceptions import RequestDataTooBig
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver
from django.utils.translation import gettext as _
from ninja import NinjaAPI, Router, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.parser import Parser

from apps.actions.actors import Actor
from apps.actions.api import actor_of, routes
from apps.actions.models import ActionRun
from apps.actions.schemas import ActionRunDetail, ActionRunRow
from apps.actions.verbs import Acted, Refused, slug_of
from apps.deadletters.api import router as dlq
from apps.deadletters.models import DeadLetter, FailureFamily
from apps.deadletters.schemas import DeadLetterRow, FailureFamilyDetail, FailureFamilyRow
from apps.integrations import bodies, idempotency, keys
from apps.integrations.api import circuit_breakers, events
from apps.integrations.doors import BadBody, NotReadHere
from apps.integrations.masking import masked_url
from apps.integrations.models import ApiKey, CircuitBreaker, Endpoint, EventSource, IntegrationEvent, Service
from apps.integrations.schemas import ApiKeyRow, EndpointDetail, EndpointRow, EventSourceRow, ServiceRow
from apps.jobs.api import processes
from apps.jobs.log_api import router as logs
from apps.jobs.models import Job, JobRun, Queue, RetentionPolicy, Tenant
from apps.jobs.schemas import JobRow, JobRunRow, QueueRow, RetentionPolicyRow, TenantRow
from apps.operations.api import router as operations
from apps.operations.models import PendingOperation
from apps.syncs.api import router as syncs
from apps.syncs.models import Customer, Order, Product, RejectedRecord, Sync
from apps.syncs.schemas import CustomerRow, OrderRow, ProductRow, RejectedRecordDetail, RejectedRecordRow
from opsconsole import health, openapi, strict
from opsconsole.aliases import speaks_of_error
from opsconsole.authentication import BearerKey, KeyHeader, find_anew, key_found, key_holder, key_shown
from opsconsole.outages import RETRY_SECONDS, sentence
from opsconsole.overview import router as overview

View = Callable[..., HttpResponseBase]


class StrictJson(Parser):
    """Reads bodies as `apps/integrations/bodies.py` does, and refuses what does not say that it is JSON."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Return the value of a body."""
        kind, charset = request.content_type or "", (request.content_params or {}).get("charset", "utf-8")
        if not (kind == "application/json" or kind.endswith("+json")) or charset.lower() not in ("utf-8", "utf8"):
            raise NotReadHere(_("Send JSON, with the header Content-Type: application/json."), code="wrong_type")
        try:
            return bodies.read(request.body)
        except bodies.Unreadable as error:
            raise BadBody(str(error), code="bad_body") from error


def documented(view: View) -> View:
    """Show the documentation to whoever is signed in or shows a key, and to nobody else."""

    @csp_update({"img-src": ["data:"]})  # Swagger's own style sheet draws its arrows so
    @wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        guarded = view if key_holder(request) else login_required(view)
        return guarded(request, *args, **kwargs)

    return shown


def once_per_key(view: View) -> View:
    """Let a write that carries an Idempotency-Key be done once, however often it comes."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        header = request.META.get("HTTP_IDEMPOTENCY_KEY")
        if request.method != "POST" or header is None or (actor := key_holder(request)) is None:
            return view(request, *args, **kwargs)
        try:
            asked = b"\n".join([request.get_full_path().encode(), request.body])
            return idempotency.once(
                actor.name,
                idempotency.key_of(header),
                asked,
                lambda: view(request, *args, **kwargs),
                kept=lambda body: _without_secrets(body) if hasattr(request, "shows_once") else body,
            )
        except (Refused, RequestDataTooBig, OperationalError, InterfaceError) as error:
            return api.on_exception(request, error)

    return answer


def nothing_passed_over(view: View) -> View:
    """Refuse what a call would not read; to whom it shows no key, that alone is said."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            if key_holder(request):
                strict.require_all_known(request, api)
        except (Refused, RequestDataTooBig, OperationalError, InterfaceError) as error:
            return api.on_exception(request, error)
        return view(request, *args, **kwargs)

    return answer


def decided_anew(view: View) -> View:
    """Refuse nobody by a key that was recalled: what was not stored under its seal is decided again, by the key as it is now."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        # What failed on our side may be stored all the same: it is not done twice.
        undecided = 300 <= response.status_code < 500
        return view(request, *args, **kwargs) if undecided and find_anew(request) else response

    return answer


def _without_secrets(body: bytes) -> bytes:
    """Return an answer without what it shows once."""
    return json.dumps(json.loads(body) | {"shown_once": []}).encode()


OFTEN = ("events", "pending-operations")


class ConsoleApi(NinjaAPI):
    """The API, with its refusals in its documentation."""

    @property
    def urls(self) -> tuple[list[URLResolver | URLPattern], str, str]:
        """The addresses. Those that come most often come first, then those of fixed words: a request tries each before its own."""
        found, app, namespace = super().urls
        return (
            sorted(found, key=lambda each: (str(each.pattern) not in OFTEN, "<" in str(each.pattern))),
            app,
            namespace,
        )

    def get_openapi_schema(self, **how: Any) -> OpenAPISchema:
        """Return the documentation, complete."""
        schema = super().get_openapi_schema(**how)
        openapi.complete(schema)
        return schema


api = ConsoleApi(
    title="opsconsole",
    version="1",
    description="Hand work in, see where it stands, and mend what did not get through. Send your key as X-API-Key.",
    urls_namespace="api",
    auth=[KeyHeader(), BearerKey()],
    parser=StrictJson(),
    docs_decorator=documented,
)
api.add_decorator(once_per_key, mode="view")
api.add_decorator(nothing_passed_over, mode="view")
api.add_decorator(decided_anew, mode="view")

NOUNS: dict[type[Acted], type[Schema] | Router] = {
    PendingOperation: operations,
    DeadLetter: DeadLetterRow,
    FailureFamily: routes(FailureFamily, FailureFamilyRow, detail=FailureFamilyDetail),
    IntegrationEvent: events,
    EventSource: EventSourceRow,
    Queue: QueueRow,
    Job: JobRow,
    JobRun: JobRunRow,
    Tenant: TenantRow,
    RetentionPolicy: RetentionPolicyRow,
    Service: ServiceRow,
    Sync: syncs,
    RejectedRecord: routes(RejectedRecord, RejectedRecordRow, detail=RejectedRecordDetail),
    Customer: routes(Customer, CustomerRow, detail=CustomerRow),
    Product: routes(Product, ProductRow, detail=ProductRow),
    Order: routes(Order, OrderRow, detail=OrderRow),
    CircuitBreaker: circuit_breakers,
    Endpoint: routes(Endpoint, EndpointRow, detail=EndpointDetail),
    ApiKey: ApiKeyRow,
    ActionRun: routes(ActionRun, ActionRunRow, detail=ActionRunDetail),
}
"""What the API shows of each noun, or the router of a noun that has calls of its own."""

for noun, shown in NOUNS.items():
    api.add_router(slug_of(noun), shown if isinstance(shown, Router) else routes(noun, shown), tags=[slug_of(noun)])

api.add_router("dlq", dlq, tags=["dlq"])
api.add_router("processes", processes)
api.add_router("logs", logs)
api.add_router("", overview)
api.add_router("", health.router)


class Me(Schema):
    """Who a key stands for."""

    name: str
    permissions: list[str]
    scopes: list[str]
    expires_at: dt.datetime | None


@api.get("/me", response=Me, tags=["me"], summary="Show whom the key stands for")
def me(request: HttpRequest) -> Any:
    """Return the name of a key and what it may do."""
    actor: Actor = actor_of(request)
    key = key_found(request)
    told = {"scopes": key.scopes, "expires_at": key.expires_at}
    return {"name": actor.name, "permissions": sorted(actor.grants or ()), **told}


def problems(view: View) -> View:
    """Answer what a view outside this root refuses as the root does: the webhook doors."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except (Refused, RequestDataTooBig, OperationalError, InterfaceError) as error:
            return api.on_exception(request, error)

    return answer


def problem(request: HttpRequest, status: int, detail: str, **extra: Any) -> HttpResponse:
    """Return a refusal as the standard has it (RFC 9457): what is wrong, in one sentence, and what a program needs."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    body |= {"instance": masked_url(request.path)} | ({"error": detail} if speaks_of_error(request) else {}) | extra
    request.refused_as = extra.get("code", "")  # type: ignore[attr-defined] # read by the record of who was turned away
    response = HttpResponse(json.dumps(body, default=str), status=status, content_type="application/problem+json")
    if "retry_after" in extra:
        response["Retry-After"] = str(extra["retry_after"])
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = 'Bearer realm="opsconsole"'
    return response


@api.exception_handler(Refused)
def refused(request: HttpRequest, error: Refused) -> HttpResponse:
    """A verb, or we, will not do this."""
    return problem(request, error.http_status, str(error), code=error.code, **error.extra)


@api.exception_handler(HttpError)
def refused_by_root(request: HttpRequest, error: HttpError) -> HttpResponse:
    """A body could not be read (the cause says why)."""
    if isinstance(error.__cause__, Refused):
        return refused(request, error.__cause__)
    return problem(request, error.status_code, str(error), code="refused")


@api.exception_handler(AuthenticationError)
def unknown_caller(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    """No key, or none that opens anything."""
    if key_found(request):
        return problem(request, 401, keys.why_closed(key_found(request)), code="closed_key")
    if key_shown(request):
        return problem(request, 401, _("Invalid API key: there is none like it."), code="invalid_key")
    words = _("API key is required: send it as X-API-Key, or as Authorization: Bearer.")
    return problem(request, 401, words, code="key_required")


@api.exception_handler(ValidationError)
def misfilled(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Fields are missing, unknown or out of range."""
    errors: dict[str, list[str]] = {}
    for found in error.errors:
        errors.setdefault(_field(found["loc"]), []).append(found["msg"])
    told = "; ".join(f"{field}: {', '.join(said)}" for field, said in list(errors.items())[:5])
    return problem(request, 422, told, code="invalid", errors=errors)


@api.exception_handler(Http404)
def absent(request: HttpRequest, error: Http404) -> HttpResponse:
    """There is nothing at this address."""
    return problem(
        request, 404, _("There is nothing at this address. /api/docs lists what there is."), code="not_found"
    )


@api.exception_handler(RequestDataTooBig)
def too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    """More than a body may hold."""
    words = _("The body is too large. Hand in fewer operations at once.")
    return problem(request, 413, words, code="too_large")


@api.exception_handler(DataError)
def not_storable(request: HttpRequest, error: DataError) -> HttpResponse:
    """A value in the address that the database cannot take (NUL, a number out of its range)."""
    return problem(request, 400, _("A value in the address cannot be read by the database."), code="bad_value")


@api.exception_handler(OperationalError)
@api.exception_handler(InterfaceError)
def out_of_reach(request: HttpRequest, error: Exception) -> HttpResponse:
    """The database is down, or did not answer in time."""
    if request.path.removeprefix("/api") == "/health/detailed":  # its clients read the checks then, too
        return health.without_database(sentence(error))
    return problem(request, 503, sentence(error), code="database", retry_after=RETRY_SECONDS)


def _field(path: tuple[str | int, ...]) -> str:
    """Return a field's path as clients know it: without the place it came in and the name of our own argument."""
    inner = path[2:] if path[0] == "body" else path[1:]
    return ".".join(str(part) for part in inner) or str(path[0])
