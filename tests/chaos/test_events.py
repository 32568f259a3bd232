"""R23: a burst of webhooks, doubled and shuffled, while no worker runs and the web is killed again and again."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from apps.integrations.models import Endpoint, EventSource, IntegrationEvent, Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.chaos.fleet import Fleet, next_strike, until, wait_until
from tests.chaos.score import FULL, Score
from tests.chaos.web import Web
from tests.chaos.world import World
from tests.integrations.events import SECRET
from tests.simulator_process import Simulator

EVENTS, SUBJECTS, KILLS = (2_000, 200, 10) if FULL else (600, 60, 2)
PER_SECOND = 260
"""With 30 % of them doubled: 2,000 in ten seconds."""


@pytest.fixture
def web(world: World, tmp_path: Path) -> Iterator[Web]:
    started = Web(world, tmp_path, "", SITE_WEBHOOK_SECRET=SECRET)
    yield started
    started.close()


@pytest.fixture
def site(erp: Service, queue: Queue) -> EventSource:
    """A source whose leads become calls of the far end."""
    endpoint = Endpoint.objects.create(
        slug="leads", name="Leads", event_type="lead.*", service=erp, queue=queue, operation_type="http.post"
    )
    endpoint.mapped_by({name: {"from": f"data.{name}"} for name in ("n", "subject", "version")}, "ana")
    return EventSource.objects.create(
        slug="site", name="The site", credentials={"current": "SITE_WEBHOOK_SECRET"}, places={"subject": "subject"}
    )


def stored() -> int:
    return IntegrationEvent.objects.count()


def send_under_kills(simulator: Simulator, web: Web) -> tuple[dict[str, Any], int]:
    """Let the burst come while the web is killed; return how it was answered, and how often the web was killed."""
    how = {"secret": SECRET, "subjects": SUBJECTS, "doubled_percent": 30, "shuffled": True, "tries": 1000}
    kills = 0
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(
            simulator.send_events, f"{web.url}/webhook/site", count=EVENTS, per_second=PER_SECOND, **how
        )
        for _round in until(sending.done, 300):
            if kills < KILLS and stored() > next_strike(kills, KILLS, EVENTS):
                web.kill()
                kills += 1
    return sending.result(), kills


def backwards() -> int:
    """How often an operation of a subject was made after one of a newer event."""
    made: dict[str, list[int]] = defaultdict(list)
    for payload in PendingOperation.objects.order_by("pk").values_list("payload", flat=True):
        made[payload["subject"]].append(payload["version"])
    return sum(versions != sorted(versions) for versions in made.values())


def test_every_event_that_was_taken_is_there_and_is_processed_once_and_in_order(
    world: World,
    simulator: Simulator,
    web: Web,
    site: EventSource,
    fleet_of: Callable[..., Fleet],
    report: Callable[[Score], Score],
) -> None:
    told, kills = send_under_kills(simulator, web)
    rows = set(IntegrationEvent.objects.values_list("event_id", flat=True))
    assert len(told["accepted"]) == EVENTS
    assert {f"simulator-{number}" for number in told["accepted"]} == rows
    assert kills == KILLS

    fleet_of()
    wait_until(lambda: not IntegrationEvent.objects.filter(status__in=IntegrationEvent.WAITING).exists())
    assert list(IntegrationEvent.objects.filter(status="failed").values_list("last_error", flat=True)[:1]) == []
    outcomes = Counter(IntegrationEvent.objects.values_list("outcome", flat=True))
    made = list(PendingOperation.objects.values_list("payload__n", flat=True))
    wait_until(lambda: not PendingOperation.objects.exclude(status="completed").exists())
    words = f"{told['sent']} sent, answered {told['answers']}, {told['duplicates']} duplicates, became {dict(outcomes)}"
    report(Score("webhooks, web killed", EVENTS, kills=kills, completed=len(made), notes=[words]))
    assert len(made) == len(set(made)) == outcomes["operations"]
    assert outcomes["operations"] + outcomes["superseded"] == EVENTS
    assert backwards() == 0
