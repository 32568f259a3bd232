"""What the pages count of events: exact, and the same rows that the lists show."""

import datetime as dt

import pytest
from django.db.models.functions import Now

from apps.actions.running import database_now, run
from apps.actions.selections import Selection
from apps.integrations.backlog import Told, events_since, events_waiting
from apps.integrations.models import IntegrationEvent
from tests.cast import ROOT
from tests.integrations.events import event_of, source

pytestmark = pytest.mark.django_db


def test_what_waits_is_counted() -> None:
    site = source()
    for state in ("received", "processing", "processed", "failed"):
        event_of(site, state)
    assert events_waiting() == 2


def test_the_day_is_counted_by_source_type_and_state_and_each_number_is_a_list() -> None:
    site, shop = source(), source("shop")
    for state in ("processed", "processed", "failed"):
        event_of(site, state)
    event_of(shop, "received", event_type="order.paid")
    since = database_now() - dt.timedelta(hours=1)
    counted = events_since(since)
    assert counted[Told("site", "lead.created", "processed")] == 2
    for told, count in counted.items():
        words = {"since": since.isoformat(), "source": told.source, "type": told.event_type, "status": told.status}
        assert Selection.matching(IntegrationEvent, words).rows().count() == count


def test_what_is_archived_or_older_is_not_counted() -> None:
    site = source()
    old, archived = event_of(site, "failed"), event_of(site, "failed")
    IntegrationEvent.objects.filter(pk=old.pk).update(received_at=Now() - dt.timedelta(days=2))
    run(IntegrationEvent.archive, Selection.ticked(IntegrationEvent, [archived.pk]), ROOT, given={"reason": "x"})
    assert events_since(database_now() - dt.timedelta(hours=1)) == {}
