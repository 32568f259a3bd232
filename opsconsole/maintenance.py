"""The maintenance of runbook 4, as jobs that leave evidence: weekly (S4-76 to S4-80, S1-96) and monthly (S4-81 to S4-85).

Each says in its run's log what it did and counts it. Statements here may take longer than a worker's limit: they set their own.
"""

import datetime as dt
import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import serializers
from django.db import Error, connection
from django.db.models import Count
from django.utils.translation import gettext as _

from apps.actions.running import database_now
from apps.actions.verbs import nouns
from apps.deadletters.failures import FailureClass
from apps.deadletters.models import DeadLetter
from apps.integrations import counting
from apps.integrations.configuration import exported_endpoints, exported_mappings
from apps.integrations.models import CircuitBreaker, Service
from apps.jobs import stats
from apps.jobs.backlog import backlogs
from apps.jobs.execution import JobFailed, Work
from apps.jobs.models import Queue, Report
from apps.operations.backlog import counts as operations_now
from apps.operations.ended import deliveries
from opsconsole import slow_database

EXPORTS_KEPT, REPORTS_KEPT = 12, 52
"""So many files of each kind stay in the data folder."""
WEEK, MONTH = dt.timedelta(days=7), dt.timedelta(days=30)
LEFT_AFTER = dt.timedelta(days=1)
"""A file that was begun and never finished is removed after so long."""
TOLD = 10
KINDS_TOLD = 50
SAMPLED = 100_000
LOCK_WAIT = "30s"

INDEXES = """
SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = current_schema() AND c.relkind = 'i' AND i.indisvalid = %s ORDER BY c.relname
"""
TIME_TO_DELIVER = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY took), percentile_cont(0.95) WITHIN GROUP (ORDER BY took), count(*)
  FROM (SELECT extract(epoch FROM completed_at - created_at)::float AS took FROM operations_pendingoperation
         WHERE completed_at >= %s ORDER BY completed_at DESC LIMIT %s) AS newest
"""


# Weekly


def export_configuration(work: Work) -> None:
    """Write endpoints, mappings and every policy into one dated file with its checksum, and read it back (S1-96, S4-80)."""
    parts = {"endpoints.json": exported_endpoints(), "mappings.json": exported_mappings(), "policies.json": policies()}
    body = packed({name: text.encode() for name, text in parts.items()})
    name = f"configuration-{_today()}.tar.gz"
    path = kept("exports", name, body)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != hashlib.sha256(body).hexdigest():
        raise JobFailed(_("%(file)s does not hold what was written.") % {"file": path}, FailureClass.CONFIG, "checksum")
    kept("exports", f"{name}.sha256", f"{digest}  {name}\n".encode())
    gone = forget("exports", "configuration-*.tar.gz*", 2 * EXPORTS_KEPT)
    with work.chunk() as counts:
        counts.update(files=len(parts), bytes=len(body), removed=gone)
    work.say(_("Wrote %(file)s, SHA-256 %(digest)s.") % {"file": path, "digest": digest})


def policies() -> str:
    """Return every policy row, as `manage.py loaddata` reads them. They name secrets and hold none."""
    rows = [row for noun in nouns() if noun.policy for row in noun._default_manager.order_by("pk")]
    return str(serializers.serialize("json", rows, indent=1))


def packed(parts: Mapping[str, bytes]) -> bytes:
    """Return files as one tar.gz, the same bytes for the same contents."""
    held = io.BytesIO()
    with gzip.GzipFile(fileobj=held, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name, body in parts.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(body), 0o600
            tar.addfile(entry, io.BytesIO(body))
    return held.getvalue()


def report_performance(work: Work) -> None:
    """Keep how the week went, as a report and as a file: success, waiting, slowest statements, growth (S4-79)."""
    with work.chunk() as counts:
        _without_limit()
        told = performance(database_now())
        Report.objects.create(kind=Report.Kind.PERFORMANCE, run=work.run, told=told)
        path = kept("reports", f"performance-{_today()}.txt", as_text(told).encode())
        counts.update(services=len(told["services"]), tables=len(told["tables"]), statements=len(told["statements"]))
    forget("reports", "performance-*.txt", REPORTS_KEPT)
    work.say(_("Wrote %(file)s.") % {"file": path})


def performance(now: dt.datetime) -> dict[str, Any]:
    """Return how the last seven days went."""
    since, waiting = now - WEEK, backlogs("queue")
    lacking = slow_database.how_to_count()
    return {
        "since": since.isoformat(),
        "until": now.isoformat(),
        "services": _services(since),
        "events": _events(since),
        "delivered_in_seconds": _time_to_deliver(since),
        "queues": [
            {"queue": row.slug, "waiting": count, "oldest_seconds": round((now - due).total_seconds()) if due else 0}
            for row in Queue.objects.all()
            for count, due in [waiting.get(row.pk, (0, None))]
        ],
        "runs": [
            {"job": job, "status": status, "count": count}
            for (job, status), count in stats.outcomes_since(since).items()
        ],
        "statements": [] if lacking else slow_database.slowest_statements("mean", TOLD),
        "tables": _tables(),
    }


def _services(since: dt.datetime) -> list[dict[str, Any]]:
    slugs = dict(Service.objects.values_list("pk", "slug"))
    found = []
    for key, ended in deliveries(since).items():
        whole = ended["sent"] + ended["failed"]
        found.append({"service": slugs[key], **ended, "success_percent": round(100 * ended["sent"] / whole, 2)})
    return sorted(found, key=lambda each: float(str(each["success_percent"])))


def _events(since: dt.datetime) -> dict[str, Any]:
    whole = counting.day_since(since).whole
    settled = whole.processed + whole.failed
    share = round(100 * whole.processed / settled, 2) if settled else None
    return {"received": whole.total, "processed": whole.processed, "failed": whole.failed, "success_percent": share}


def _time_to_deliver(since: dt.datetime) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(TIME_TO_DELIVER, [since, SAMPLED])
        middle, most, count = cursor.fetchone()
    return {"median": _rounded(middle), "p95": _rounded(most), "operations": count}


def _tables() -> list[dict[str, Any]]:
    """Return the largest tables, and by how much each grew since the report before."""
    before = Report.objects.filter(kind=Report.Kind.PERFORMANCE).first()
    known = {row["table"]: row["bytes"] for row in before.told["tables"]} if before else {}
    return [
        {
            "table": row["name"],
            "bytes": row["bytes"],
            "rows": row["live"],
            "grown_bytes": row["bytes"] - known[row["name"]] if row["name"] in known else None,
        }
        for row in slow_database.tables()
    ]


def as_text(told: Mapping[str, Any]) -> str:
    """Return a report as plain text, for mail and for the file."""
    lines = []
    for name, part in told.items():
        lines.append(f"{name}: {part}" if isinstance(part, str) else f"\n{name}")
        rows = part if isinstance(part, list) else [part] if isinstance(part, dict) else []
        lines += ["  " + ", ".join(f"{word} {value}" for word, value in row.items()) for row in rows]
    return "\n".join(lines) + "\n"


# Monthly


def reindex(work: Work) -> None:
    """Build every index anew without holding anybody up (S4-82); what an earlier one left broken is removed first."""
    _drop_broken(work)
    names = _indexes(valid=True)
    work.expect(len(names))
    for name in names[work.run.counts.get("done", 0) :]:
        word = _rebuilt(work, name)
        with work.chunk() as counts:
            counts.update(done=1, **{word: 1})


def _rebuilt(work: Work, name: str) -> str:
    try:
        _outside(f"REINDEX INDEX CONCURRENTLY {connection.ops.quote_name(name)}")
    except Error as error:
        work.say(_("%(index)s was left as it is: %(why)s") % {"index": name, "why": str(error).strip()})
        return "skipped"
    return "rebuilt"


def _drop_broken(work: Work) -> None:
    """Remove what a rebuilding that broke off left: `…_ccnew`, `…_ccold`, not valid and still written to."""
    for name in _indexes(valid=False):
        if "_ccnew" in name or "_ccold" in name:
            _outside(f"DROP INDEX CONCURRENTLY IF EXISTS {connection.ops.quote_name(name)}")
            with work.chunk() as counts:
                counts["removed"] += 1
            work.say(_("%(index)s was left by a rebuilding that broke off, and is removed.") % {"index": name})


def analyze(work: Work) -> None:
    """Bring the planner's statistics of every table up to date (S4-83)."""
    tables = sorted(row["name"] for row in slow_database.tables())
    work.expect(len(tables))
    for table in tables[work.run.counts.get("done", 0) :]:
        with work.chunk() as counts, connection.cursor() as cursor:
            _without_limit()
            cursor.execute(f"ANALYZE {connection.ops.quote_name(table)}")
            counts["done"] += 1
    work.say(_("Statistics of %(count)s tables are new.") % {"count": len(tables)})


def deep_clean(work: Work) -> None:
    """Remove what was left lying about: files never finished, indexes that broke (S4-84). Rows age by retention."""
    _drop_broken(work)
    before = database_now().timestamp() - LEFT_AFTER.total_seconds()
    left = [path for path in Path(settings.DATA_DIR).glob("*/*.part") if path.stat().st_mtime < before]
    for path in left:
        path.unlink(missing_ok=True)
        work.say(_("%(file)s was never finished, and is removed.") % {"file": path})
    if not left:
        work.say(_("No file was left unfinished."))
    with work.chunk() as counts:
        counts.update(looked=1, files=len(left))


def review_thresholds(work: Work) -> None:
    """Count the month's failures by kind beside the limits, for whoever decides whether these still fit (S4-85)."""
    with work.chunk() as counts:
        _without_limit()
        told = thresholds(database_now())
        Report.objects.create(kind=Report.Kind.THRESHOLDS, run=work.run, told=told)
        counts.update(kinds=len(told["failures"]), failures=sum(row["count"] for row in told["failures"]))


def thresholds(now: dt.datetime) -> dict[str, Any]:
    """Return the failures of thirty days by kind, most first, and the limits that speak of them."""
    lately = DeadLetter.objects.filter(opened_at__gte=now - MONTH).order_by()
    grouped = lately.values("source_kind", "error_type", "failure_class").annotate(count=Count("pk"))
    now_there = operations_now()
    return {
        "since": (now - MONTH).isoformat(),
        "until": now.isoformat(),
        "failures": list(grouped.order_by("-count", "error_type")[:KINDS_TOLD]),
        "limits": [
            {
                "limit": "PENDING_ALERT_THRESHOLD",
                "value": settings.PENDING_ALERT_THRESHOLD,
                "now": now_there["pending"],
            },
            {"limit": "FAILED_ALERT_THRESHOLD", "value": settings.FAILED_ALERT_THRESHOLD, "now": now_there["failed"]},
            *(
                {"limit": breaker.service.slug, "value": breaker.failure_threshold, "now": breaker.failures}
                for breaker in CircuitBreaker.objects.select_related("service").order_by("service__slug")
            ),
        ],
    }


# What they share


def kept(folder: str, name: str, body: bytes) -> Path:
    """Write a file of the data folder, whole or not at all, readable by us alone."""
    place = Path(settings.DATA_DIR) / folder
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = place / f"{name}.part"
    with open(os.open(unfinished, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    return unfinished.rename(place / name)


def forget(folder: str, pattern: str, most: int) -> int:
    """Remove the oldest files of a kind beyond so many; their names say how old they are. Return how many."""
    old = sorted((Path(settings.DATA_DIR) / folder).glob(pattern))[:-most]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def _indexes(*, valid: bool) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(INDEXES, [valid])
        return [name for (name,) in cursor.fetchall()]


def _outside(statement: str) -> None:
    """Run what cannot run in a transaction, for as long as it takes; it waits for a lock only so long."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = 0; SET lock_timeout = '{LOCK_WAIT}'")
        try:
            cursor.execute(statement)
        finally:
            cursor.execute("RESET statement_timeout; RESET lock_timeout")


def _without_limit() -> None:
    """Let the statements of this transaction take as long as they need."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")


def _today() -> str:
    return f"{database_now():%Y%m%d}"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
