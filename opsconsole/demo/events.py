"""A day of events that were seen and wanted by no endpoint, and the new leads of the hours after: those become deals."""

import datetime as dt
from random import Random
from typing import Any

from django.conf import settings
from django.db.models import F

from apps.actions.models import new_id
from apps.integrations import bodies, inbox, processing
from apps.integrations.credentials import credential
from apps.integrations.models import EventSource, IntegrationEvent
from opsconsole.demo import far_end, wares
from opsconsole.demo.company import PARTNER, PARTNER_SECRET
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
REFERRALS = 6


def make_day(now: dt.datetime, random: Random) -> None:
    """Take in a day's events and process them."""
    sources = {source.slug: source for source in EventSource.objects.all()}
    events = [_event(sources, number, at, random) for number, at in enumerate(moments_of_a_day(EVENTS, now, random))]
    inbox.take_in(events)
    processing.process(SECONDS_OF_WORK)
    took = F("received_at") + dt.timedelta(seconds=1)
    IntegrationEvent.objects.filter(processed_at__isnull=False).update(processed_at=took, updated_at=took)


def tell_of_a_lead(random: Random) -> None:
    """Let the site tell of a new lead, of which its endpoint makes a deal."""
    lead, number = wares.lead(random), new_id()
    source = EventSource.objects.get(slug="site")
    inbox.take_in(
        [_row(source, "lead.created", lead, id=number, event_id=str(number), subject=f"lead-{number.hex[-5:]}")]
    )


def tell_of_referrals() -> bool:
    """Let the partner tell of persons, signed and through its door, in a form that nobody announced: the mapping finds no name.

    Once; returns whether that has been done.
    """
    if IntegrationEvent.objects.filter(source__slug=PARTNER).exists():
        return True
    told = {"source": PARTNER, "event_type": "referral.created", "count": REFERRALS, "subjects": REFERRALS}
    signed = {"scheme": "standard", "secret": credential(PARTNER_SECRET).value}
    door = f"http://127.0.0.1:{settings.PORT}/webhook/{PARTNER}"
    new_form = {"full_name": "Ana Lima", "mobile": "(11) 91234-9999"}
    answer = far_end.ask("POST", "events", {**told, **signed, "url": door, "data": new_form})
    return bool(answer["accepted"])


def _event(sources: dict[str, EventSource], number: int, at: dt.datetime, random: Random) -> IntegrationEvent:
    source, kind, data = random.choice(KINDS)
    moments = dict.fromkeys(("occurred_at", "received_at", "due_at"), at)
    return _row(sources[source], kind, data, id=id_at(at), event_id=f"demo-{number}", **moments)


def _row(source: EventSource, kind: str, data: dict[str, Any], **columns: Any) -> IntegrationEvent:
    return IntegrationEvent(
        source=source,
        event_type=kind,
        data=data,
        body=bodies.written(data),
        content_type="application/json",
        proof=IntegrationEvent.Proof.KEY,
        sender="demo",
        **columns,
    )
