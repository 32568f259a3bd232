from random import Random

from apps.integrations import processing
from apps.integrations.models import IntegrationEvent
from apps.operations.models import PendingOperation
from opsconsole.demo.events import EVENTS, tell_of_a_lead
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
