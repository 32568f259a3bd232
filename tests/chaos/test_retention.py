"""R22: a purge of many rows beside a writer, killed again and again: what is old goes, what is needed stays."""

import datetime as dt
import statistics
import threading
import time
from collections.abc import Callable

from django.db import connection

from apps.actions.running import database_now
from apps.integrations.models import EventSource, IntegrationEvent, Service
from apps.jobs import retention
from apps.jobs.models import JobRun, Queue
from apps.operations.models import PendingOperation
from tests.chaos.fleet import Fleet, next_strike, until
from tests.chaos.score import FULL, Score
from tests.chaos.world import World

ROWS, KILLS = (5_000_000, 20) if FULL else (100_000, 5)
LOADED_AT_ONCE = 5_000

# Every tenth failed and waits for a person, every fiftieth has an operation that is not sent yet, a tenth is young.
LOAD = """
INSERT INTO integrations_integrationevent
SELECT made.* FROM generate_series(%(first)s + 1, %(first)s + %(count)s) AS n JOIN integrations_integrationevent o ON o.event_id = 'like',
  LATERAL (SELECT CASE WHEN n %% 10 = 5 THEN -interval '20 days'
      ELSE -interval '60 days' + (n::float8 / %(rows)s) * interval '28 days' END AS age) AS told,
  LATERAL jsonb_populate_record(o, jsonb_build_object('id', uuidv7(age), 'event_id', 'event-' || n,
      'subject', 'lead-' || n %% 5000, 'received_at', now() + age, 'occurred_at', now() + age, 'updated_at', now() + age
  ) || CASE WHEN n %% 10 = 0 THEN jsonb_build_object('status', 'failed', 'failed_at', now() + age)
            ELSE jsonb_build_object('status', 'processed', 'processed_at', now() + age, 'outcome', 'operations') END) AS made
"""
OPERATIONS = """
INSERT INTO operations_pendingoperation
SELECT made.* FROM integrations_integrationevent e JOIN operations_pendingoperation o ON o.source = 'like',
  LATERAL jsonb_populate_record(o, jsonb_build_object('id', uuidv7(), 'source', 'event', 'event_id', e.id)) AS made
 WHERE e.status = 'processed' AND hashtext(e.event_id) %% 50 = 1
"""


def execute(sql: str, **params: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


def load(source: EventSource, service: Service, queue: Queue) -> None:
    told = {"event_id": "like", "event_type": "lead", "body": b"{}", "data": {"name": "Ana"}, "proof": "signed"}
    IntegrationEvent.objects.create(source=source, status="processed", **told)
    for first in range(0, ROWS, LOADED_AT_ONCE):
        execute(LOAD, first=first, count=LOADED_AT_ONCE, rows=ROWS)
    waits = {"service": service, "queue": queue, "operation_type": "http.post", "payload": {}, "source": "like"}
    PendingOperation.objects.create(due_at=database_now() + dt.timedelta(days=1), **waits)
    execute(OPERATIONS)
    execute("ANALYZE integrations_integrationevent, operations_pendingoperation")


class Writer(threading.Thread):
    """Hands events in beside the purge, as fast as it is answered, and remembers how long each took."""

    def __init__(self, source: EventSource, name: str) -> None:
        super().__init__(daemon=True, name=name)
        self.source = source
        self.over = threading.Event()
        self.took: list[float] = []

    def run(self) -> None:
        told = {"event_type": "lead", "body": b"{}", "data": {}, "proof": "signed"}
        while not self.over.wait(0.01):
            began = time.perf_counter()
            IntegrationEvent.objects.create(source=self.source, event_id=f"{self.name}-{len(self.took)}", **told)
            self.took.append(time.perf_counter() - began)
        connection.close()

    def stop(self) -> None:
        self.over.set()
        self.join()

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.took, n=100)[98] * 1000


class Watch(threading.Thread):
    """Looks how old the oldest transaction of anybody but the writer is, fifty times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.longest = 0.0

    def run(self) -> None:
        with connection.cursor() as cursor:
            while not self.over.wait(0.02):
                cursor.execute(
                    "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 FROM pg_stat_activity"
                    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND query NOT LIKE 'INSERT INTO%'"
                )
                self.longest = max(self.longest, cursor.fetchone()[0])
        connection.close()

    def stop(self) -> None:
        self.over.set()
        self.join()


def deleted(run: JobRun) -> int:
    run.refresh_from_db()
    return int(run.counts.get("processed-events", 0))


def kill_while_it_purges(fleet: Fleet, run: JobRun, goes: int) -> int:
    """Kill the worker whenever it has taken rows since the last kill; return how often."""
    kills, gone = 0, 0
    for _round in until(lambda: run.status == "succeeded", 7200 if FULL else 600, each=0.02):
        if deleted(run) > max(gone, next_strike(kills, KILLS, goes)) and kills < KILLS and run.status == "running":
            fleet.kill_node(fleet.nodes[0])
            kills, gone = kills + 1, deleted(run)
    return kills


def test_a_purge_takes_what_is_old_and_nothing_that_is_needed(
    world: World,
    queue: Queue,
    fleet_of: Callable[..., Fleet],
    report: Callable[[Score], Score],
) -> None:
    service = Service.objects.create(slug="crm", name="crm", connector="http", base_url="http://crm.example.com")
    source = EventSource.objects.create(slug="site", name="The site")
    load(source, service, queue)
    events = IntegrationEvent.objects.exclude(event_id="like")
    goes = retention.aged(retention.catalogue()["processed-events"], database_now() - dt.timedelta(days=30)).count()
    stays = events.count() - goes
    alone, beside, watch = Writer(source, "alone"), Writer(source, "beside"), Watch()
    alone.start()
    time.sleep(3)
    alone.stop()
    run = retention.queue({"policies": ["processed-events"]}, "chaos")
    fleet = fleet_of(nodes=1, children=1)
    beside.start()
    watch.start()
    kills = kill_while_it_purges(fleet, run, goes)
    beside.stop()
    watch.stop()
    score = report(Score(f"a purge of {goes:,} of {goes + stays:,} rows beside a writer, killed", goes, kills=kills))
    score.completed = deleted(run)
    written = len(alone.took) + len(beside.took)
    score.lost = stays + written - events.count()
    score.notes = [
        f"longest transaction {watch.longest * 1000:.0f} ms",
        f"writer p99 {alone.p99:.1f} ms alone, {beside.p99:.1f} ms beside",
    ]
    assert (score.lost, deleted(run), kills) == (0, goes, KILLS)
