"""The ground of a measurement: throw-away servers, the tables, and as many operations as asked for.

The servers keep nothing (fsync off): read ratios and plans, not the disk.
"""

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

LOAD = """
INSERT INTO operations_pendingoperation
SELECT made.* FROM generate_series(1, %(count)s) AS n
  JOIN operations_pendingoperation o ON o.source = CASE WHEN n %% 10 = 0 THEN 'like erp' ELSE 'like piperun' END,
  LATERAL (SELECT (n - %(count)s) * interval '60 ms' - interval '1 minute' AS age, %(status)s AS state) AS told,
  LATERAL jsonb_populate_record(o, jsonb_build_object(
      'id', uuidv7(age), 'source', 'shop', 'status', state, 'entity_id', 'order-' || n, 'attempts', 1,
      'payload', jsonb_build_object('title', 'Order ' || n, 'stage_id', n %% 9, 'note', repeat('x', 200)),
      'created_at', now() + age, 'updated_at', now() + age,
      'due_at', CASE WHEN state = 'pending' AND n %% 2 = 0 THEN now() + interval '1 hour' ELSE now() + age END
  ) || CASE state
      WHEN 'failed' THEN jsonb_build_object('failure_class', 'transient', 'error_type', 'HTTP 503',
          'last_error', 'HTTP 503: upstream ' || n %% 50 || ' is away', 'failed_at', now() + age)
      WHEN 'completed' THEN jsonb_build_object('remote_id', n::text, 'completed_at', now() + age)
      ELSE '{}' END) AS made
"""
"""Copies of one row of each service, so that a new column needs no change here."""
LETTERS = """
INSERT INTO deadletters_deadletter (id, status, source_kind, source_id, title, service, tenant, entity_type, entity_id,
    error_type, failure_class, message, fingerprint, repeats, resolution_notes, archive_reason, attempts, source_system, words)
SELECT uuidv7(), 'unresolved', 'operations.pendingoperation', o.id, o.operation_type, s.slug, '', o.entity_type,
       o.entity_id, o.error_type, o.failure_class, o.last_error, md5(o.last_error), 0, '', '',
       o.attempts, o.source, o.last_error || E'\\n' || o.entity_id || E'\\n' || o.payload::text
  FROM operations_pendingoperation o JOIN integrations_service s ON s.id = o.service_id WHERE o.status = 'failed'
"""
FAMILIES = """
INSERT INTO deadletters_failurefamily (id, status, fingerprint, source_kind, title, service, error_type, failure_class,
    message, owner, note, ticket_url, resolution_note, regressions)
SELECT uuidv7(), 'open', first.* FROM (SELECT DISTINCT ON (fingerprint) fingerprint, source_kind, title, service, error_type,
    failure_class, message, '', '', '', '', 0 FROM deadletters_deadletter ORDER BY fingerprint, id) AS first
"""
EVENTS = """
INSERT INTO integrations_integrationevent
SELECT made.* FROM generate_series(1, %(count)s) AS n
  JOIN integrations_integrationevent o ON o.event_id = 'like',
  LATERAL (SELECT (n - %(count)s) * interval '300 ms' - interval '1 minute' AS age) AS told,
  LATERAL jsonb_populate_record(o, jsonb_build_object(
      'id', uuidv7(age), 'event_id', 'event-' || n, 'subject', 'lead-' || n %% 50000, 'event_type', 'lead.' || n %% 12,
      'received_at', now() + age, 'occurred_at', now() + age, 'due_at', now() + age, 'updated_at', now() + age,
      'trace_id', md5(n::text)
  ) || CASE
      WHEN n %% 100 = 0 THEN jsonb_build_object('status', 'failed', 'failed_at', now() + age, 'error_type', 'mapping',
          'failure_class', 'permanent_data', 'last_error', 'Endpoint leads: field ' || n %% 40 || ' is missing')
      WHEN n > %(count)s - 500 THEN '{}'
      ELSE jsonb_build_object('status', 'processed', 'processed_at', now() + age, 'outcome', 'operations') END) AS made
"""
"""Copies of one event: half a thousand wait, one in a hundred failed, the others became operations."""

ATTEMPTS = """
INSERT INTO operations_attempt (operation_id, service_id, at, duration_ms, method, url, status_code, failure_class,
    excerpt, worker, stale)
SELECT id, service_id, now() + (created_at - now()) * 20, 120, 'POST', '', 201, failure_class, '', '', false FROM operations_pendingoperation
"""
"""A call for each operation, over the last days."""


@contextmanager
def ground() -> Iterator[None]:
    """Run servers of our own, with the tables of a fresh installation, until the block ends."""
    os.environ.update(
        DJANGO_SETTINGS_MODULE="opsconsole.settings",
        SECRET_KEY=secrets.token_urlsafe(64),
        OPS_STATEMENT_TIMEOUT_MS="600000",
    )
    from opsconsole import embedded

    with embedded.throw_away() as servers:
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


def load(status: str, count: int) -> None:
    """Load operations in one state; failed ones with their dead letters, unless there are some already."""
    execute(LOAD, {"status": status, "count": count})
    if status == "failed":
        execute(LETTERS)
        execute(FAMILIES)


def load_attempts() -> None:
    """Load a call for each operation that is there."""
    execute(ATTEMPTS)


def load_events(count: int) -> None:
    """Load events of one source over the last days, a quarter of a million a day."""
    from apps.integrations.models import EventSource, IntegrationEvent

    source = EventSource.objects.create(slug="site", name="The site")
    body = b'{"name": "Ana", "note": "' + b"x" * 200 + b'"}'
    told = {"event_id": "like", "event_type": "lead", "body": body, "data": {"name": "Ana"}, "proof": "signed"}
    IntegrationEvent.objects.create(source=source, outcome="nothing", **told)
    execute(EVENTS, {"count": count})


def settle_down() -> None:
    """Let the planner know what is there."""
    execute("VACUUM ANALYZE")


def execute(sql: str, params: Any = None) -> None:
    """Run one statement."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql, params)


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
