"""A day of events that were seen and wanted by no endpoint: pages viewed, newsletters joined, things said in passing."""

import datetime as dt
from random import Random
from typing import Any

from django.db.models import F

from apps.integrations import bodies, inbox, processing
from apps.integrations.models import EventSource, IntegrationEvent
from opsconsole.demo.history import moments_of_a_day
from opsconsole.demo.past import id_at

EVENTS = 120
KINDS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("site", "page.viewed", {"page": "/apartments"}),
    ("site", "newsletter.joined", {"origin": "site"}),
    ("checkout", "cart.left", {"items": 2}),
    ("talks", "talk.noted", {"text": "Good morning!"}),
)
SECONDS_OF_WORK = 60.0


def make_day(now: dt.datetime, random: Random) -> None:
    """Take in a day's events and process them."""
    sources = {source.slug: source for source in EventSource.objects.all()}
    events = [_event(sources, number, at, random) for number, at in enumerate(moments_of_a_day(EVENTS, now, random))]
    inbox.take_in(events)
    processing.process(SECONDS_OF_WORK)
    took = F("received_at") + dt.timedelta(seconds=1)
    IntegrationEvent.objects.filter(processed_at__isnull=False).update(processed_at=took, updated_at=took)


def _event(sources: dict[str, EventSource], number: int, at: dt.datetime, random: Random) -> IntegrationEvent:
    source, kind, data = random.choice(KINDS)
    return IntegrationEvent(
        id=id_at(at),
        source=sources[source],
        event_id=f"demo-{number}",
        event_type=kind,
        data=data,
        body=bodies.written(data),
        content_type="application/json",
        proof=IntegrationEvent.Proof.KEY,
        sender="demo",
        **dict.fromkeys(("occurred_at", "received_at", "due_at"), at),
    )
