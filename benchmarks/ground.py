"""The ground of a measurement: throw-away servers, the tables, and as many operations as asked for.

The servers keep nothing (fsync off) unless asked to: read ratios and plans, not the disk.
"""

import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
AS_SHIPPED = {"OPS_ENV": "production", "SECURE_SSL_REDIRECT": "false"}
"""What programs of ours are told: they run and log as in production, over plain HTTP since no proxy stands before them."""

OPERATIONS = {
    "id": "uuidv7(age)",
    "source": "'shop'",
    "status": "state",
    "entity_id": "'order-' || n",
    "attempts": "CASE WHEN state = 'pending' AND n %% 10 > 0 THEN 0 ELSE 1 END",
    "payload": "jsonb_build_object('title', 'Order ' || n, 'stage_id', n %% 9, 'note', repeat('x', 200))",
    "created_at": "now() + age",
    "updated_at": "now() + age",
    "due_at": "CASE WHEN state = 'pending' AND n %% 2 = 0 THEN now() + interval '1 hour' ELSE now() + age END",
    "failure_class": "CASE state WHEN 'failed' THEN 'transient' ELSE '' END",
    "error_type": "CASE state WHEN 'failed' THEN 'HTTP 503' ELSE '' END",
    "last_error": "CASE state WHEN 'failed' THEN 'HTTP 503: upstream ' || n %% 50 || ' is away' ELSE '' END",
    "failed_at": "CASE state WHEN 'failed' THEN now() + age END",
    "remote_id": "CASE state WHEN 'completed' THEN n::text ELSE '' END",
    "completed_at": "CASE state WHEN 'completed' THEN now() + age END",
}
"""What sets an operation apart from the row of its service that it is a copy of."""
OPERATIONS_FROM = """
  FROM generate_series(1, %(count)s) AS n
  JOIN likes o ON o.source = CASE WHEN n %% 10 = 0 THEN 'like erp' ELSE 'like piperun' END,
  LATERAL (SELECT (n - %(count)s) * interval '60 ms' - interval '1 minute' AS age, %(status)s AS state) AS told
"""
LETTERS = """
INSERT INTO deadletters_deadletter (id, status, source_kind, source_id, title, service, tenant, entity_type, entity_id,
    error_type, failure_class, message, fingerprint, repeats, resolution_notes, archive_reason, attempts, source_system, opened_at)
SELECT uuidv7(o.failed_at - now()), 'unresolved', 'operations.pendingoperation', o.id, o.operation_type, s.slug, '', o.entity_type,
       o.entity_id, o.error_type, o.failure_class, o.last_error, md5(o.last_error), 0, '', '',
       o.attempts, o.source, o.failed_at
  FROM operations_pendingoperation o JOIN integrations_service s ON s.id = o.service_id WHERE o.status = 'failed'
"""
WORDS = """
INSERT INTO deadletters_letterwords (letter_id, words)
SELECT l.id, o.last_error || E'\\n' || o.entity_id || E'\\n' || o.payload::text
  FROM deadletters_deadletter l JOIN operations_pendingoperation o ON o.id = l.source_id
"""
FAMILIES = """
INSERT INTO deadletters_failurefamily (id, status, fingerprint, source_kind, title, service, error_type, failure_class,
    message, owner, note, ticket_url, resolution_note, regressions)
SELECT uuidv7(), 'open', first.* FROM (SELECT DISTINCT ON (fingerprint) fingerprint, source_kind, title, service, error_type,
    failure_class, message, '', '', '', '', 0 FROM deadletters_deadletter ORDER BY fingerprint, id) AS first
"""
EVENTS = {
    "id": "uuidv7(age)",
    "event_id": "'event-' || n",
    "subject": "'lead-' || n %% 50000",
    "event_type": "'lead.' || n %% 12",
    "received_at": "now() + age",
    "occurred_at": "now() + age",
    "due_at": "now() + age",
    "updated_at": "now() + age",
    "trace_id": "md5(n::text)",
    "status": "state",
    "failed_at": "CASE state WHEN 'failed' THEN now() + age END",
    "error_type": "CASE state WHEN 'failed' THEN 'mapping' ELSE '' END",
    "failure_class": "CASE state WHEN 'failed' THEN 'permanent_data' ELSE '' END",
    "last_error": "CASE state WHEN 'failed' THEN 'Endpoint leads: field ' || n %% 40 || ' is missing' ELSE '' END",
    "processed_at": "CASE state WHEN 'processed' THEN now() + age END",
    "outcome": "CASE state WHEN 'processed' THEN 'operations' ELSE o.outcome END",
}
"""What sets an event apart from the one that it is a copy of."""
EVENTS_FROM = """
  FROM generate_series(1, %(count)s) AS n CROSS JOIN likes o,
  LATERAL (SELECT (n - %(count)s) * interval '300 ms' - interval '1 minute' - %(ago)s::interval AS age,
      CASE WHEN n %% 100 = 0 THEN 'failed' WHEN n > %(count)s - 500 THEN 'received' ELSE 'processed' END AS state) AS told
"""
"""Half a thousand wait, one in a hundred failed, the others became operations."""
LINES = {
    "id": "uuidv7(age)",
    "at": "now() + age",
    "level": "CASE WHEN n %% 100 = 0 THEN 40 WHEN n %% 20 = 0 THEN 30 ELSE 20 END",
    "logger": "'apps.operations.' || n %% 7",
    "text": "'order-' || n || ': the far end answered ' || n %% 9 || ' of its calls'",
    "pattern": "n %% 9",
    "trace": "md5(n::text)",
    "kind": "'operations.pendingoperation'",
    "object_id": "uuidv7()",
    "service": "CASE WHEN n %% 10 = 0 THEN 'erp' ELSE 'piperun' END",
}
LINES_FROM = """
  FROM generate_series(1, %(count)s) AS n CROSS JOIN likes o,
  LATERAL (SELECT (n - %(count)s) * interval '80 ms' AS age) AS told
"""
RUNS = {
    "id": "uuidv7(age)",
    "status": "CASE WHEN n %% 50 = 0 THEN 'failed' ELSE 'succeeded' END",
    "asked_by": "''",
    "started_at": "now() + age",
    "finished_at": "now() + age + interval '2 s'",
    "failed_at": "CASE WHEN n %% 50 = 0 THEN now() + age END",
    "created_at": "now() + age",
    "updated_at": "now() + age",
    "due_at": "now() + age",
}
RUNS_FROM = """
  FROM generate_series(1, %(count)s) AS n CROSS JOIN likes o,
  LATERAL (SELECT (n - %(count)s) * interval '5 s' - interval '1 minute' AS age) AS told
"""

ATTEMPTS = """
INSERT INTO operations_attempt (operation_id, service_id, at, duration_ms, method, url, status_code, failure_class,
    excerpt, worker, stale)
SELECT id, service_id, now() - %(ago)s::interval + (created_at - now()) * 20, 120, 'POST', '', 201, failure_class, '', '', false
  FROM operations_pendingoperation
"""
"""A call for each operation, over some days."""

LARGE = [
    *("integrations_integrationevent", "operations_pendingoperation", "operations_attempt"),
    *("deadletters_deadletter", "deadletters_letterwords", "actions_actionitem", "jobs_logline", "jobs_jobrun"),
]
LOOSE_INDEXES = """
SELECT i.indexname, replace(i.indexdef, ' ON ONLY ', ' ON ') FROM pg_indexes i WHERE i.tablename = ANY(%s)
   AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexname::regclass)
"""
TALLIES = """
TRUNCATE operations_tally, operations_ended, deadletters_tally;
INSERT INTO operations_tally (service_id, queue_id, status, archived, change)
SELECT service_id, queue_id, status, archived_at IS NOT NULL, count(*) FROM operations_pendingoperation GROUP BY 1, 2, 3, 4;
INSERT INTO operations_ended (service_id, status, quarter, change)
SELECT service_id, status, date_bin('15 minutes', coalesce(completed_at, failed_at), 'epoch'), count(*)
  FROM operations_pendingoperation WHERE coalesce(completed_at, failed_at) > now() - interval '2 days' GROUP BY 1, 2, 3;
INSERT INTO deadletters_tally (status, fingerprint, title, error_type, entity_type, service, tenant, change)
SELECT status, fingerprint, title, error_type, entity_type, service, tenant, count(*)
  FROM deadletters_deadletter GROUP BY 1, 2, 3, 4, 5, 6, 7
"""

EMPTY = """
TRUNCATE deadletters_deadletter, deadletters_letterwords, deadletters_failurefamily;
DELETE FROM operations_pendingoperation WHERE source NOT LIKE 'like %';
DELETE FROM integrations_integrationevent WHERE event_id <> 'like'
"""


@contextmanager
def ground(durable: bool = False) -> Iterator[None]:
    """Run servers of our own, with the tables of a fresh installation, until the block ends.

    Where they are `durable` a commit is on the disk when it is answered, as in production.
    """
    os.environ.update(
        DJANGO_SETTINGS_MODULE="opsconsole.settings",
        SECRET_KEY=secrets.token_urlsafe(64),
        OPS_STATEMENT_TIMEOUT_MS="3600000",
    )
    from opsconsole import embedded

    with embedded.throw_away(durable) as servers:
        os.environ.update(DATABASE_URL=servers.database_url, REDIS_URL=servers.redis_url)
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        _company()
        yield
        _close()


def _company() -> None:
    from apps.integrations.models import CircuitBreaker, Service
    from apps.jobs.models import Queue
    from apps.operations.models import PendingOperation

    for service, queue in (("piperun", "crm"), ("erp", "books")):
        row = Service.objects.create(slug=service, name=service, connector="http", base_url="http://x.example.com")
        CircuitBreaker.objects.get_or_create(service=row)
        lane, _made = Queue.objects.get_or_create(slug=queue, defaults={"name": queue})
        PendingOperation.objects.create(
            service=row,
            queue=lane,
            operation_type="deal.create",
            entity_type="deal",
            payload={},
            source=f"like {service}",
            status="completed",
        )


def _close() -> None:
    from django.db import connections

    connections.close_all()


def no_limits() -> None:
    """Make limits that nobody meets: every request is counted, and of so many none is turned away."""
    from apps.integrations.models import RateLimit

    for name in RateLimit.Name.values:
        RateLimit.objects.update_or_create(name=name, defaults={"requests": 1_000_000, "seconds": 1})


def load_states(**counts: int) -> None:
    """Load so many operations in each state."""
    for status, count in counts.items():
        load(status, count)


def load(status: str, count: int) -> None:
    """Load operations in one state; failed ones with their dead letters, unless there are some already."""
    from apps.operations.models import PendingOperation

    execute(
        _copying(PendingOperation, OPERATIONS, "source LIKE 'like %%'") + OPERATIONS_FROM,
        {"status": status, "count": count},
    )
    if status == "failed":
        execute(LETTERS)
        execute(WORDS)
        execute(FAMILIES)


def load_attempts(ago: str = "0 days") -> None:
    """Load a call for each operation that is there, over some days that ended so long ago."""
    execute(ATTEMPTS, {"ago": ago})


def load_events(count: int, ago: str = "0 days") -> None:
    """Load events of one source over some days that ended so long ago, a quarter of a million a day."""
    from apps.integrations.models import EventSource, IntegrationEvent

    source, made = EventSource.objects.get_or_create(slug="site", defaults={"name": "The site"})
    body = b'{"name": "Ana", "note": "' + b"x" * 200 + b'"}'
    told = {"event_id": "like", "event_type": "lead", "body": body, "data": {"name": "Ana"}, "proof": "signed"}
    if made:
        IntegrationEvent.objects.create(source=source, outcome="nothing", **told)
    execute(_copying(IntegrationEvent, EVENTS, "event_id = 'like'") + EVENTS_FROM, {"count": count, "ago": ago})


def load_lines(count: int) -> None:
    """Load lines of the log, a million a day."""
    from django.db.models.functions import Now

    from apps.jobs.models import LogLine

    LogLine.objects.create(at=Now(), level=20, logger="like", text="", pattern=0, process="")
    execute(_copying(LogLine, LINES, "logger = 'like'") + LINES_FROM, {"count": count})


def load_runs(count: int) -> None:
    """Load runs of one job that ended."""
    from apps.jobs.models import Job, JobRun

    JobRun.objects.create(job=Job.objects.order_by("slug")[0], status="succeeded", asked_by="like")
    execute(_copying(JobRun, RUNS, "asked_by = 'like'") + RUNS_FROM, {"count": count})


def _copying(model: Any, sets: Mapping[str, str], like: str) -> str:
    """Return how copies of some rows go in that differ by what is set; a new column needs no change here."""
    columns = [str(field.column) for field in model._meta.concrete_fields if not field.generated]
    values = ", ".join(sets.get(column, f"o.{column}") for column in columns)
    table = model._meta.db_table
    # Read once: the table grows under the statement.
    likes = f"WITH likes AS MATERIALIZED (SELECT * FROM {table} WHERE {like})"  # noqa: S608 # constants
    return f"INSERT INTO {table} ({', '.join(columns)}) {likes} SELECT {values}"


def empty() -> None:
    """Take out what was loaded, for other numbers of rows."""
    execute(EMPTY)


@contextmanager
def in_bulk() -> Iterator[None]:
    """Load millions of rows: triggers rest, indexes are made afterwards, and tallies counted from what is there."""
    indexes = _rows(LOOSE_INDEXES, [LARGE])
    execute("; ".join(f"DROP INDEX {name}" for name, _sql in indexes))
    _from_now_on("SET session_replication_role = replica")
    yield
    _from_now_on("RESET session_replication_role")
    at_once(*(partial(_index, sql) for _name, sql in indexes))
    execute(TALLIES)


def _from_now_on(setting: str) -> None:
    execute(f"ALTER DATABASE {_name()} {setting}")
    _close()


def _index(sql: str) -> None:
    execute(f"SET maintenance_work_mem = '1GB'; {sql}; RESET maintenance_work_mem")


def at_once(*work: Callable[[], object]) -> None:
    """Do several things, each over a connection of its own, as many at once as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in [pool.submit(_apart, each) for each in work]:
            done.result()


def _apart(work: Callable[[], object]) -> None:
    try:
        work()
    finally:
        _close()


def keep() -> None:
    """Keep the tables as they stand, for `put_back`."""
    with _beside() as server:
        server.execute("DROP DATABASE IF EXISTS kept")
        server.execute("CHECKPOINT")
        server.execute(f"CREATE DATABASE kept TEMPLATE {_name()} STRATEGY FILE_COPY")


def put_back() -> None:
    """Make the tables what they were when they were kept, to the byte: nobody finds them swollen by who came before."""
    with _beside() as server:
        (number,) = server.execute("SELECT oid FROM pg_database WHERE datname = %s", [_name()]).fetchone() or ()
        server.execute(f"DROP DATABASE {_name()} WITH (FORCE)")
        # The same number: to the console another one would be a database that was restored.
        server.execute(f"CREATE DATABASE {_name()} TEMPLATE kept STRATEGY FILE_COPY OID = {number}")


@contextmanager
def using(database: str) -> Iterator[None]:
    """Let Django look at the tables that were kept; at those that go on changing where no name is given."""
    from django.db import connection

    ours = connection.settings_dict["NAME"]
    if database:
        _close()
        connection.settings_dict["NAME"] = database
    yield
    if database:
        _close()
        connection.settings_dict["NAME"] = ours


@contextmanager
def _beside() -> Iterator[Any]:
    """Connect to the server, and nobody to our database."""
    import psycopg

    _close()
    with psycopg.connect(conninfo(), dbname="postgres", autocommit=True) as server:
        yield server


def _name() -> str:
    from django.db import connection

    return str(connection.settings_dict["NAME"])


def settle_down() -> None:
    """Let the planner know what is there."""
    execute("VACUUM ANALYZE")


def execute(sql: str, params: Any = None) -> None:
    """Run one statement."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql, params)


def _rows(sql: str, params: Any = None) -> list[tuple[Any, ...]]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def conninfo() -> str:
    """Return how others than Django connect to the ground's database, in libpq's words."""
    from django.db import connection
    from psycopg.conninfo import make_conninfo

    told = connection.settings_dict
    words = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    return make_conninfo(**{word: str(told[name]) for word, name in words.items() if told[name]})


def say(what: str, *figures: object) -> None:
    """Print one line of the table."""
    sys.stdout.write(f"{what:<58}" + "".join(f"{figure:>14}" for figure in figures) + "\n")
    sys.stdout.flush()


@contextmanager
def timed(what: str, rows: int = 0) -> Iterator[None]:
    """Print how long a block took, and how many rows a second that is."""
    began = time.perf_counter()
    yield
    took = time.perf_counter() - began
    say(what, f"{took:.3f} s", f"{rows / took:,.0f}/s" if rows else "")
