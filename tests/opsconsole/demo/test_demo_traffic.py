import threading
from random import Random

from apps.integrations.models import Service
from apps.operations.models import PendingOperation
from opsconsole.demo import traffic
from tests.simulator_process import Simulator


def test_each_piece_of_traffic_is_taken_in(seeded: Simulator) -> None:
    random, before = Random(3), PendingOperation.objects.count()  # noqa: S311 # a play
    for _number in range(30):
        traffic.hand_in_one(random)
    assert PendingOperation.objects.count() == before + 30


def test_traffic_never_asks_for_what_the_tour_is_about(seeded: Simulator) -> None:
    """Its deals are for stages that are there, or the failures would grow from minute to minute."""
    random = Random(3)  # noqa: S311 # a play
    handed_in = [traffic.hand_in_one(random) for _number in range(30)]
    assert not [row for row in handed_in if row.payload.get("stage_id") == 13 or row.service.slug == "erp"]


def test_traffic_stops_when_it_is_told(seeded: Simulator) -> None:
    stopped, before = threading.Event(), PendingOperation.objects.count()
    stopped.set()
    traffic.keep_busy(stopped)
    assert PendingOperation.objects.count() == before


def test_a_real_crm_gets_no_traffic(seeded: Simulator) -> None:
    Service.objects.filter(slug="piperun").update(base_url="https://api.example.com/v1")
    assert not traffic.may_work()
