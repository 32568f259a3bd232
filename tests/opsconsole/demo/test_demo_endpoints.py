"""The demo company's endpoints make operations of its events."""

from dataclasses import dataclass
from typing import Any

import pytest

from apps.integrations.models import EventSource
from apps.integrations.routing import routed
from tests.simulator_process import Simulator

LEAD = {"product": "Solar", "name": " Ana  Lima ", "interest": "hot", "origin": "fair"}
ORDER = {"customer": {"name": "Padaria"}, "items": [{"title": "Solar", "price": 10, "sku": "x"}]}


@dataclass(frozen=True)
class Told:
    source: EventSource
    event_type: str
    data: Any
    subject: str = "7"


@pytest.mark.parametrize(
    ("source", "event_type", "data", "payload"),
    [
        ("site", "lead.created", LEAD, {"title": "Solar · Ana Lima", "pipeline_id": 1, "stage_id": 11, "origin_id": 2}),
        (
            "site",
            "contact.created",
            {"name": "Ana", "phone": "(11) 91"},
            {"name": "Ana", "origin_id": 1, "phone": "1191"},
        ),
        ("site", "contact.created", {"name": "Ana"}, {"name": "Ana", "origin_id": 1}),
        (
            "checkout",
            "order.paid",
            ORDER,
            {"customer": "Padaria", "items": [{"name": "Solar", "price": 10}], "due_days": 30},
        ),
        ("partner", "referral.created", {"name": "Ana", "phone": "(11) 91"}, {"name": "Ana", "phone": "1191"}),
        ("talks", "talk.noted", {"text": "Hi", "deal_id": "12"}, {"text": "Hi", "deal_id": 12}),
    ],
)
def test_an_event_of_the_demo_company_becomes_its_operation(
    seeded: Simulator, source: str, event_type: str, data: Any, payload: Any
) -> None:
    [one] = routed(Told(EventSource.objects.get(slug=source), event_type, data))
    assert (one.payload, one.entity_id) == (payload, "7")


def test_what_was_said_without_a_deal_becomes_nothing(seeded: Simulator) -> None:
    assert routed(Told(EventSource.objects.get(slug="talks"), "talk.noted", {"text": "Hi"})) == []
