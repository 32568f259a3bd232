from apps.integrations.models import IntegrationEvent
from apps.operations.models import PendingOperation
from opsconsole.demo.events import EVENTS
from tests.simulator_process import Simulator


def test_the_day_has_events_that_became_nothing(seeded: Simulator) -> None:
    seen = IntegrationEvent.objects.filter(status="processed", outcome="nothing")
    assert seen.count() == EVENTS
    assert not PendingOperation.objects.filter(event__isnull=False).exists()
