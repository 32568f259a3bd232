from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from apps.deadletters.models import FailureFamily
from apps.integrations import processing
from apps.integrations.models import IntegrationEvent
from apps.operations.models import PendingOperation
from apps.simulator.sender import EventsAsked, Sender
from opsconsole.demo import far_end
from opsconsole.demo.events import EVENTS, REFERRALS, tell_of_a_lead, tell_of_referrals
from tests.simulator_process import Simulator


def test_the_day_has_events_that_became_nothing(seeded: Simulator) -> None:
    seen = IntegrationEvent.objects.filter(status="processed", outcome="nothing")
    assert seen.count() == EVENTS
    assert not PendingOperation.objects.filter(event__isnull=False).exists()


def test_a_lead_of_the_site_becomes_a_deal(seeded: Simulator) -> None:
    tell_of_a_lead(Random(3))  # noqa: S311 # a play
    processing.process(5)
    operation = PendingOperation.objects.get(event__event_type="lead.created")
    assert (operation.operation_type, operation.service.slug) == ("deal.create", "piperun")


def test_what_the_partner_tells_of_is_signed_and_becomes_a_family_of_events(
    seeded: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(far_end, "ask", through_the_door)
    assert [tell_of_referrals(), tell_of_referrals()] == [True, True]
    processing.process(5)
    family = FailureFamily.objects.get(source_kind="integrations.integrationevent")
    events = IntegrationEvent.objects.filter(source__slug="partner", proof="signed", status="failed")
    assert (events.count(), family.error_type, "name" in family.message) == (REFERRALS, "mapping", True)


def test_a_door_that_is_not_open_yet_is_knocked_at_again(seeded: Simulator) -> None:
    assert not tell_of_referrals()


def through_the_door(method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Do what the simulator's sender does, inside this test's transaction."""
    asked = EventsAsked(**body)
    sent = [Sender(asked, seed=1)._event(number, badly=False) for number in range(asked.count)]
    answers = [
        Client().generic("POST", urlsplit(asked.url).path, event, "application/json", headers=headers)
        for event, headers in sent
    ]
    return {"accepted": [number for number, answer in enumerate(answers) if answer.status_code < 300]}
