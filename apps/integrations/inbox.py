"""Events on their way in: stored with their double key, each once, before anybody is answered 2xx."""

import datetime as dt
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from apps.actions import recordsets
from apps.actions.preparing import prepared_cursor
from apps.actions.running import step
from apps.integrations.arrivals import Arrival, fingerprint
from apps.integrations.keys import STILL_SEALED, Seal
from apps.integrations.masking import masked_headers, masked_text, phones_of, storable
from apps.integrations.metering import ERROR, count_events
from apps.integrations.models import EventSource, IntegrationEvent
from apps.integrations.traces import trace_of

log = logging.getLogger(__name__)

TOLD_ONE_BY_ONE = 20
"""Of more events at once the log says only how many."""
READABLE_PART = 16 * 1024
"""So much is kept of what cannot be read."""
HEADERS_KEPT, LONGEST_HEADER = 64, 500
SHOWN_HEADERS = frozenset(
    {
        "user-agent",
        "webhook-id",
        "webhook-timestamp",
        "x-chatwoot-delivery",
        "x-chatwoot-timestamp",
        "x-event-id",
        "x-event-type",
        "x-source-system",
        "x-timestamp",
    }
)
"""What headers of webhooks may say in the open, beside those that any header may."""

Key = tuple[UUID, str]

STORE = """
INSERT INTO integrations_integrationevent (
       id, source_id, event_id, event_type, subject, occurred_at, body, data, trace_id, traceparent, tracestate,
       content_type, headers, proof, sender, {columns})
SELECT told.id, known.id, event_id, event_type, subject, least(occurred_at, statement_timestamp()),
       convert_to(body, 'UTF8'), data, trace_id, traceparent, tracestate, %s, %s::jsonb, %s, %s, {values}
  FROM integrations_eventsource AS known, json_to_recordset(%s::json) AS told(
       id uuid, event_id text, event_type text, subject text, occurred_at timestamptz,
       body text, data jsonb, trace_id text, traceparent text, tracestate text)
 WHERE known.slug = %s AND known.max_bytes >= %s
 ORDER BY event_id, told.id
ON CONFLICT (source_id, event_id) DO NOTHING
"""
"""Stores events of one source, or none where it is not known or takes no bodies so large; a known double key is left out."""

STORE_ONE = """
INSERT INTO integrations_integrationevent (
       id, source_id, event_id, event_type, subject, occurred_at, body, data, trace_id, traceparent, tracestate,
       content_type, headers, proof, sender, {columns})
SELECT %s, known.id, %s, %s, %s, least(%s::timestamptz, statement_timestamp()), %s, %s::jsonb, %s, %s, %s,
       %s, %s::jsonb, %s, %s, {values}
  FROM integrations_eventsource AS known
 WHERE known.slug = %s AND known.max_bytes >= %s {proven}
ON CONFLICT (source_id, event_id) DO NOTHING
"""
"""The same for one event. It is prepared: read and planned anew each time it takes three times as long."""


@dataclass(frozen=True, slots=True)
class Came:
    """How events came in: their proof, by whom, in what, and with which headers, as they may be stored."""

    proof: str
    sender: str
    content_type: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Taken:
    """An event that is stored; a duplicate was there before."""

    id: UUID
    duplicate: bool


def event_of(source: EventSource, arrival: Arrival, came: Came, key: UUID, now: dt.datetime) -> IntegrationEvent:
    """Return the row of an event, not yet saved. Nothing happens later than it is told of: `now`, by the database's clock."""
    return IntegrationEvent(
        id=key,
        source=source,
        event_id=_double_key(source, arrival) if arrival.event_id else str(key),
        event_type=arrival.event_type,
        subject=arrival.subject,
        occurred_at=min(arrival.occurred_at or now, now),
        body=arrival.body,
        content_type=came.content_type[:100],
        headers=came.headers,
        data=arrival.data,
        trace_id=arrival.trace.id,
        traceparent=arrival.trace.traceparent,
        tracestate=arrival.trace.tracestate,
        proof=came.proof,
        sender=came.sender[:150],
    )


def of_source(source: EventSource, arrival: Arrival) -> Arrival:
    """Return an event that came by a source's own door, as `take_in_new` reads it."""
    return replace(arrival, source=source.slug, event_id=arrival.event_id and _double_key(source, arrival))


def _double_key(source: EventSource, arrival: Arrival) -> str:
    """Return its id; with its own source before it, where one door takes the CloudEvents of several."""
    own = arrival.source in ("", source.slug, source.cloudevents_source)
    return arrival.event_id if own else fingerprint(f"{arrival.source} {arrival.event_id}".encode())


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers as they may be stored: bounded, and only harmless ones with what they say."""
    known = {name: storable(value)[:LONGEST_HEADER] for name, value in list(headers.items())[:HEADERS_KEPT]}
    return masked_headers(known) | {name: value for name, value in known.items() if _harmless(name)}


def _harmless(name: str) -> bool:
    return name in SHOWN_HEADERS or name.startswith("ce-")


def take_in(events: Sequence[IntegrationEvent]) -> list[Taken]:
    """Store events, all or none; one whose double key is known counts as a duplicate of the first."""
    new: dict[Key, IntegrationEvent] = {}
    for event in events:
        new.setdefault(_key(event), event)
    with transaction.atomic():
        # In the order of the key: two that hand in the same events meet in one place, and one waits.
        IntegrationEvent.objects.bulk_create([new[key] for key in sorted(new)], ignore_conflicts=True)
        kept = _kept(list(new))
        taken = [Taken(kept[_key(event)], kept[_key(event)] != event.pk) for event in events]
        _count_duplicates(taken)
    for event, one in zip(events, taken, strict=True):
        count_events(event.source.slug, [event.event_type], "duplicate" if one.duplicate else "received")
    told = [(event.event_type, event.source.slug, event.trace_id, event.data) for event in events]
    transaction.on_commit(partial(_tell, told, taken))
    return taken


def _tell(events: Sequence[tuple[str, str, str, Any]], taken: Sequence[Taken]) -> None:
    """Say in the log what came; of many at once only how many."""
    doubled = sum(each.duplicate for each in taken)
    if len(events) > TOLD_ONE_BY_ONE:
        log.info("Webhook received: %s events, %s of them known before", len(events), doubled)
        return
    for (event_type, source, trace, data), each in zip(events, taken, strict=True):
        words = "Webhook received again: %s of %s" if each.duplicate else "Webhook received: %s of %s"
        said = {"kind": "integrations.integrationevent", "object_id": each.id, "trace": trace}
        log.info(words, event_type, source, extra=said | {"phones": phones_of(data)})


def take_in_new(arrivals: Mapping[UUID, Arrival], came: Came, seal: Seal | None = None) -> list[Taken] | None:
    """Store events under these ids in one statement. They are of one source, named by its short name.

    None where they are not, where one is larger than its source may send or known already: then `take_in` says which, with
    the same ids, and what is stored by now counts as new. None, too, where there is a `seal` that no longer holds, or that
    comes with several events.
    """
    source, *others = {arrival.source for arrival in arrivals.values()}
    if others or not (_stored_one if len(arrivals) == 1 else _stored)(source, arrivals, came, seal):
        return None
    count_events(source, [arrival.event_type for arrival in arrivals.values()], "received")
    taken = [Taken(key, False) for key in arrivals]
    told = [(each.event_type, source, each.trace.id, each.data) for each in arrivals.values()]
    transaction.on_commit(partial(_tell, told, taken))
    return taken


def _stored_one(source: str, arrivals: Mapping[UUID, Arrival], came: Came, seal: Seal | None) -> bool:
    """Store the one event; say whether it is there now and new."""
    [(key, one)] = arrivals.items()
    trace, told = one.trace, json.dumps(one.data)
    what: list[Any] = [key, one.event_id or str(key), one.event_type, one.subject, one.occurred_at, one.body, told]
    where: list[Any] = [trace.id, trace.traceparent, trace.tracestate, *_how(came), source, len(one.body)]
    with prepared_cursor() as cursor:
        cursor.execute(_store_one(seal is not None), [*what, *where, *(seal or ())])
        return bool(cursor.rowcount)


def _how(came: Came) -> list[str]:
    return [came.content_type[:100], json.dumps(came.headers), came.proof, came.sender[:150]]


def _stored(source: str, arrivals: Mapping[UUID, Arrival], came: Came, seal: Seal | None) -> bool:
    """Store events; say whether all are there now and new."""
    if seal:
        return False
    told = recordsets.text([_as_row(key, arrival) for key, arrival in arrivals.items()])
    largest = max(len(arrival.body) for arrival in arrivals.values())
    with connection.cursor() as cursor:
        cursor.execute(_store(), [*_how(came), told, source, largest])
        return bool(cursor.rowcount == len(arrivals))


def _as_row(key: UUID, arrival: Arrival) -> dict[str, Any]:
    """Return an event as the statement reads it."""
    return {
        "id": str(key),
        "event_id": arrival.event_id or str(key),
        "event_type": arrival.event_type,
        "subject": arrival.subject,
        "occurred_at": arrival.occurred_at,
        "body": arrival.body.decode(),
        "data": arrival.data,
        "trace_id": arrival.trace.id,
        "traceparent": arrival.trace.traceparent,
        "tracestate": arrival.trace.tracestate,
    }


@cache
def _store() -> str:
    return _completed(STORE)


@cache
def _store_one(sealed: bool) -> str:
    return _completed(STORE_ONE).replace("{proven}", f"AND {STILL_SEALED}" if sealed else "")


def _completed(statement: str) -> str:
    """Return a statement with what the model says of the other columns of a new event."""
    blank = IntegrationEvent()
    named = set(statement.partition("{columns}")[0].rpartition("(\n")[2].replace(",", " ").split())
    fields = [field for field in IntegrationEvent._meta.concrete_fields if field.column not in named]
    given = {
        str(field.column): field.get_db_prep_save(field.value_from_object(blank), connection)
        for field in fields
        if field.db_default is models.NOT_PROVIDED
    }
    with connection.cursor() as cursor:
        values = cursor.mogrify(", ".join(["%s"] * len(given)), list(given.values()))
    return statement.replace("{columns}", ", ".join(given)).replace("{values}", values.replace("%", "%%"))


def take_in_unreadable(source: EventSource, body: bytes, why: str, came: Came, now: dt.datetime) -> Taken:
    """Keep a bounded, masked part of what cannot be read, as a failed event with its dead letter."""
    event = IntegrationEvent(
        source=source,
        event_id=fingerprint(body),
        event_type="unreadable",
        occurred_at=now,
        body=masked_text(body[:READABLE_PART].decode("utf-8", "replace")).encode(),
        content_type=came.content_type[:100],
        headers=came.headers,
        trace_id=trace_of("").id,
        proof=came.proof,
        sender=came.sender[:150],
    )
    with transaction.atomic():
        [taken] = take_in([event])
        if not taken.duplicate:
            step(IntegrationEvent.reject, IntegrationEvent.objects.filter(pk=taken.id), last_error=masked_text(why))
            count_events(source.slug, [event.event_type], ERROR)
    return taken


def _key(event: IntegrationEvent) -> Key:
    return event.source_id, event.event_id


def _kept(keys: list[Key]) -> dict[Key, UUID]:
    by_source: dict[UUID, list[str]] = defaultdict(list)
    for source, event_id in keys:
        by_source[source].append(event_id)
    chosen = Q(pk__in=[])
    for source, ids in by_source.items():
        chosen |= Q(source=source, event_id__in=ids)
    rows = IntegrationEvent.objects.filter(chosen).values_list("source_id", "event_id", "pk")
    return {(source, event_id): key for source, event_id, key in rows}


def _count_duplicates(taken: Sequence[Taken]) -> None:
    times = Counter(one.id for one in taken if one.duplicate)
    again: dict[int, list[UUID]] = defaultdict(list)
    for key, count in times.items():
        again[count].append(key)
    locked = IntegrationEvent.objects.filter(pk__in=list(times)).order_by("pk").select_for_update(no_key=True)
    if len(times) > 1:  # one alone meets nobody
        list(locked.values_list("pk", flat=True))
    for count, ids in again.items():
        IntegrationEvent.objects.filter(pk__in=ids).update(duplicates=F("duplicates") + count, duplicate_at=Now())
