"""A slow database (runbook 1 §3.7, runbook 4 scenario 4): what runs now, what was slowest, and the indexes of a table.

Only looking: nothing here ends a statement. Their texts are shown without the values in them, which are other people's data.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import connection, models
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.deadletters.models import DeadLetter
from apps.integrations.masking import masked_text
from apps.integrations.models import IntegrationEvent
from apps.operations.models import PendingOperation

Row = dict[str, Any]
View = Callable[[HttpRequest], TemplateResponse]
PERMISSION = "jobs.change_queue"
"""Statements tell how we are made: they are for supervisors."""
SHOWN, LONGEST = 20, 400
LITERAL = re.compile(r"'(?:[^']|'')*(?:'|$)|\$(\w*)\$.*?(?:\$\1\$|$)", re.DOTALL)
"""A text in a statement; one that the server cut off has no end."""
RUNBOOK_TABLES: Mapping[str, type[models.Model]] = {
    "integration_events": IntegrationEvent,
    "pending_operations": PendingOperation,
    "etl_dead_letter_queue": DeadLetter,
}
"""The runbooks' names of tables, and ours (S1-86, S4-58)."""
ORDERS = {"mean": "mean_exec_time", "total": "total_exec_time", "calls": "calls"}

RUNNING = """
SELECT pid, application_name, state, coalesce(wait_event_type || ': ' || wait_event, '') AS waits,
       extract(epoch FROM statement_timestamp() - query_start)::float AS seconds,
       extract(epoch FROM statement_timestamp() - xact_start)::float AS transaction_seconds,
       pg_blocking_pids(pid) AS behind, query
  FROM pg_stat_activity
 WHERE datname = current_database() AND backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid()
 ORDER BY query_start NULLS LAST LIMIT %s
"""
SLOWEST = r"""
SELECT calls, rows, mean_exec_time / 1000 AS mean_seconds, max_exec_time / 1000 AS max_seconds,
       total_exec_time / 1000 AS total_seconds, query
  FROM pg_stat_statements
 WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND query !~* '^\s*(create|alter|drop|truncate|grant|comment)\y'
 ORDER BY {order} DESC LIMIT %s
"""
TABLES = """
SELECT relname AS name, pg_total_relation_size(relid) AS bytes, pg_indexes_size(relid) AS index_bytes,
       n_live_tup AS live, n_dead_tup AS dead, seq_scan AS scans, coalesce(idx_scan, 0) AS index_scans,
       greatest(last_analyze, last_autoanalyze) AS analyzed_at
  FROM pg_stat_user_tables WHERE schemaname = current_schema() ORDER BY 2 DESC
"""
INDEXES = """
SELECT c.relname AS name, pg_get_indexdef(i.indexrelid) AS definition, pg_relation_size(i.indexrelid) AS bytes,
       coalesce(s.idx_scan, 0) AS scans, i.indisunique AS is_unique, i.indisvalid AS is_valid
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid LEFT JOIN pg_stat_user_indexes s ON s.indexrelid = i.indexrelid
 WHERE i.indrelid = %s::regclass ORDER BY 3 DESC
"""


def supervised(view: View) -> View:
    """Let supervisors see a page, and nobody else."""

    @wraps(view)
    def shown(request: HttpRequest) -> TemplateResponse:
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        return view(request)

    return shown


@supervised
def running(request: HttpRequest) -> TemplateResponse:
    """Show the statements that run or hold a transaction open, the oldest first (S1-85)."""
    return _page(request, "running", _("What runs now"), {"rows": running_statements()})


@supervised
def slowest(request: HttpRequest) -> TemplateResponse:
    """Show the statements that took longest since their numbers began (S4-69); else how to have them counted."""
    order = request.GET.get("order", "mean")
    if order not in ORDERS:
        raise Http404
    lacking = how_to_count()
    told = {
        "lacking": lacking,
        "order": order,
        "orders": _orders(),
        "rows": [] if lacking else slowest_statements(order),
    }
    return _page(request, "slowest", _("Slowest statements"), told)


@supervised
def indexes(request: HttpRequest) -> TemplateResponse:
    """Show the tables with their sizes, and of one its indexes (S1-86); the runbooks' names of tables are known."""
    found = tables()
    named = request.GET.get("table", "")
    table = RUNBOOK_TABLES[named]._meta.db_table if named in RUNBOOK_TABLES else named or found[0]["name"]
    if table not in {row["name"] for row in found}:
        raise Http404
    return _page(
        request, "indexes", _("Tables and indexes"), {"tables": found, "table": table, "rows": indexes_of(table)}
    )


def running_statements() -> list[Row]:
    """Return what runs now, without its values."""
    return _shown(_rows(RUNNING, [SHOWN]))


def slowest_statements(order: str = "mean", most: int = SHOWN) -> list[Row]:
    """Return the slowest statements by one of `ORDERS`, without their values."""
    return _shown(_rows(SLOWEST.format(order=ORDERS[order]), [most]))


def tables() -> list[Row]:
    """Return our tables, the largest first."""
    return _rows(TABLES, [])


def indexes_of(table: str) -> list[Row]:
    """Return the indexes of a table, the largest first."""
    return _rows(INDEXES, [connection.ops.quote_name(table)])


def how_to_count() -> str:
    """Return what to do so that the server counts its statements; nothing where it does."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('shared_preload_libraries') LIKE '%pg_stat_statements%',"
            " EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements')"
        )
        preloaded, installed = cursor.fetchone()
    if not preloaded:
        return _(
            "The server does not count its statements. Set shared_preload_libraries = 'pg_stat_statements' in its configuration, "
            "start it again, and run as its superuser: CREATE EXTENSION pg_stat_statements;"
        )
    if not installed:
        return _(
            "The server counts its statements and does not show them. Run as its superuser: CREATE EXTENSION pg_stat_statements;"
        )
    return ""


def without_values(statement: str) -> str:
    """Return a statement without the texts in it, and not longer than it can be read."""
    return masked_text(LITERAL.sub("'…'", " ".join(statement.split())))[:LONGEST]


def _shown(rows: Sequence[Row]) -> list[Row]:
    return [row | {"query": without_values(row["query"] or "")} for row in rows]


def _rows(sql: str, given: Sequence[Any]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        columns = [column.name for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def _orders() -> list[tuple[str, str]]:
    return [("mean", _("by mean time")), ("total", _("by time in all")), ("calls", _("by calls"))]


def _page(request: HttpRequest, name: str, title: str, told: Mapping[str, Any]) -> TemplateResponse:
    places = [("", _("What runs now")), ("-slowest", _("Slowest statements")), ("-indexes", _("Tables and indexes"))]
    pages = [
        {"url": reverse(f"admin:database{word}"), "label": label, "current": label == title} for word, label in places
    ]
    return TemplateResponse(
        request, f"health/{name}.html", {**admin.site.each_context(request), "title": title, "pages": pages, **told}
    )
