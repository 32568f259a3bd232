"""The API of circuit breakers, by the names of runbook 1 (S1-21, S1-53), and of events: handing them in, and what they became."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import get_script_prefix, reverse
from django.utils.translation import gettext as _
from ninja import Query, Router, Status
from pydantic import ValidationError

from apps.actions.actors import Actor
from apps.actions.api import actor_of, asking, listed, routes
from apps.actions.models import new_id
from apps.actions.permissions import require_add, require_view
from apps.actions.running import database_now
from apps.actions.selections import closest
from apps.actions.tasks import wake_once
from apps.actions.verbs import Invalid, Refused
from apps.integrations import arrivals, bodies, inbox, keys
from apps.integrations.admission import HANDS_IN
from apps.integrations.arrivals import Arrival, Misshapen, Request, WrongType
from apps.integrations.bodies import Unreadable
from apps.integrations.doors import BadBody, NotReadHere, TooLarge
from apps.integrations.inbox import Came, Taken
from apps.integrations.keys import Seal
from apps.integrations.models import CircuitBreaker, EventSource, IntegrationEvent
from apps.integrations.names import named_service, services_by_name
from apps.integrations.schemas import (
    BreakerNow,
    Breakers,
    CircuitBreakerRow,
    EventAccepted,
    EventDetail,
    EventIn,
    EventRow,
    EventsAccepted,
    EventsIn,
    event_body,
)
from apps.integrations.tasks import process_events
from apps.integrations.traces import Trace

circuit_breakers = Router()
Asking = asking(CircuitBreaker)
events = Router()
Read = TypeVar("Read")


@circuit_breakers.get("", response=Breakers, summary="Show all circuit breakers", operation_id="circuitbreaker_list")
def standing(request: HttpRequest, words: Query[Asking]) -> Any:  # type: ignore[valid-type] # made from the filters
    """`services` has them all, by each name of their service; `items` the page of the list that the filter names."""
    page = listed(request, CircuitBreaker, words)
    return {"timestamp": database_now(), "services": breakers_now(), **page}


def breakers_now() -> dict[str, BreakerNow]:
    """Return all breakers by every name of their service."""
    named = services_by_name()
    return {name: BreakerNow.of(named[name].breaker) for name in sorted(named) if hasattr(named[name], "breaker")}


def breaker_id(actor: Actor, name: str) -> str:
    """Return the id of the breaker that stands before a service, by one of its names; an id stands for itself."""
    require_view(actor, CircuitBreaker)
    try:
        return str(UUID(name))
    except ValueError:
        return str(named_service(name).breaker.pk)


routes(CircuitBreaker, CircuitBreakerRow, circuit_breakers, id_of=breaker_id)


@events.post(
    "",
    response={200: EventAccepted | EventsAccepted, 202: EventAccepted | EventsAccepted},
    summary="Hand in an event, or CloudEvents",
    openapi_extra=HANDS_IN | event_body(),
)
def hand_in(request: HttpRequest) -> HttpResponse | Status[EventsAccepted]:
    """Take an event in. It is kept from here on, and processed at once; one that is known already is answered 200."""
    actor, told = _allowed(request), Request.of(request.META, request.body)
    if arrivals.is_cloud_event(told):
        found = _read(lambda: arrivals.cloud_events(told))
    else:
        found = [_read(lambda: _plain(told))]
    taken = _taken_in(found, actor, told, _seal(request))
    if told.kind == arrivals.BATCH:
        return _answered_many(taken)
    return _answered(taken[0])


@events.post(
    "/bulk",
    response={200: EventsAccepted, 202: EventsAccepted},
    summary="Hand in up to 1,000 events, all or none",
    openapi_extra=HANDS_IN,
)
def hand_in_many(request: HttpRequest, body: EventsIn) -> Status[EventsAccepted]:
    """Take events in together. Where one of them cannot be, `index` and `errors` name it, and none is."""
    actor, told = _allowed(request), Request.of(request.META, request.body)
    trace = told.trace
    found = [
        _arrival(one, bodies.written(one.model_dump(mode="json", exclude_unset=True)), trace) for one in body.events
    ]
    return _answered_many(_taken_in(found, actor, told))


routes(IntegrationEvent, EventRow, events, EventDetail)


def _allowed(request: HttpRequest) -> Actor:
    actor = actor_of(request)
    require_add(actor, IntegrationEvent, _("events"))
    return actor


def _read(reading: Callable[[], Read]) -> Read:
    """Read a body; what is wrong with it becomes a refusal."""
    try:
        return reading()
    except WrongType as error:
        raise NotReadHere(str(error), code="wrong_type") from error
    except Misshapen as error:
        more = {} if error.index is None else {"index": error.index}
        raise Invalid(str(error), code="invalid", errors=error.errors, **more) from error
    except Unreadable as error:
        raise BadBody(str(error), code="bad_body") from error


def _plain(told: Request) -> Arrival:
    try:
        return _arrival(EventIn.model_validate(told.json()), told.body, told.trace)
    except ValidationError as error:
        errors = {".".join(map(str, each["loc"])) or "body": [each["msg"]] for each in error.errors()}
        words = "; ".join(f"{field}: {', '.join(said)}" for field, said in list(errors.items())[:5])
        raise Misshapen(words, errors) from error


def _arrival(one: EventIn, body: bytes, trace: Trace) -> Arrival:
    return Arrival(
        event_id=one.event_id or "",
        event_type=one.event_type,
        data=one.payload,
        body=body,
        trace=trace,
        subject=one.subject,
        occurred_at=one.occurred_at,
        source=one.source_system,
    )


def _seal(request: HttpRequest) -> Seal | None:
    """Return what proves a key that was recalled; the root decides anew where that does not hold."""
    if not getattr(request, "recalled", False):
        return None
    seal = keys.seal_of(request.key, "integrations", "add_integrationevent")  # type: ignore[attr-defined] # written by the root
    if seal is None:
        raise Unsealed("The key has changed.")
    return seal


class Unsealed(Refused):
    """The key that was recalled may not be what it was: nobody is told, the root decides anew."""


def _taken_in(found: Sequence[Arrival], actor: Actor, told: Request, seal: Seal | None = None) -> list[Taken]:
    came = Came(IntegrationEvent.Proof.KEY, actor.name, told.content_type, inbox.kept_headers(told.headers))
    arriving = {new_id(): arrival for arrival in found}
    taken = inbox.take_in_new(arriving, came, seal)
    if taken is None and seal:
        raise Unsealed("The key has changed.")
    taken = taken or _looked_at(arriving, came)
    transaction.on_commit(partial(wake_once, process_events))
    return taken


def _looked_at(arriving: Mapping[UUID, Arrival], came: Came) -> list[Taken]:
    """Take in events of which some are known already, or refuse them, in words."""
    sources, now, rows = _sources(arriving.values()), database_now(), []
    for index, (key, arrival) in enumerate(arriving.items()):
        source = sources.get(arrival.source)
        if source is None:
            raise _unknown(arrival.source, index if len(arriving) > 1 else None)
        if len(arrival.body) > source.max_bytes:
            words = _("The event is too large: %(source)s sends up to %(most)s bytes.")
            raise TooLarge(words % {"source": source, "most": source.max_bytes}, code="too_large", index=index)
        rows.append(inbox.event_of(source, arrival, came, key, now))
    return inbox.take_in(rows)


def _sources(found: Iterable[Arrival]) -> dict[str, EventSource]:
    """Return the sources by what the events call them: their short names, or what CloudEvents name as their source."""
    named = {arrival.source for arrival in found}
    by_name = {row.cloudevents_source: row for row in EventSource.objects.filter(cloudevents_source__in=named - {""})}
    return by_name | {row.slug: row for row in EventSource.objects.filter(slug__in=named)}


def _unknown(name: str, index: int | None) -> Invalid:
    known = list(EventSource.objects.values_list("slug", flat=True))
    hint = closest(name, known)
    why = _("there is no source %(name)s; %(hint)s") % {"name": name[:80], "hint": hint}
    if index is None:
        return Invalid(f"source: {why}", code="invalid", errors={"source": [why]})
    words = _("Event %(index)s of the list: %(why)s Nothing was taken in.") % {"index": index, "why": why}
    return Invalid(words, code="invalid", index=index, errors={f"events.{index}.source": [why]})


def _answered(taken: Taken) -> HttpResponse:
    """Return the answer as it is written: to check it against its schema takes longer than to look who asks."""
    accepted = {"id": str(taken.id), "status": "received", "duplicate": taken.duplicate}
    return HttpResponse(
        json.dumps(accepted),
        status=200 if taken.duplicate else 202,
        content_type="application/json; charset=utf-8",
        headers={"Location": f"{_events_at(get_script_prefix())}{taken.id}"},
    )


@lru_cache(maxsize=16)
def _events_at(_prefix: str) -> str:
    """Return what the address of every event begins with."""
    blank = UUID(int=0)
    return reverse("api:integrationevent", args=[blank]).removesuffix(str(blank))


def _answered_many(taken: Sequence[Taken]) -> Status[EventsAccepted]:
    doubled = [one.id for one in taken if one.duplicate]
    answer = EventsAccepted(count=len(taken), duplicates=len(doubled), ids=[one.id for one in taken])
    return Status(200 if len(doubled) == len(taken) else 202, answer)
