"""How PostgreSQL finds the rows, with a million operations in the table: `python -m benchmarks.plans 1000000`."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.ground import (
    LARGE,
    ground,
    in_bulk,
    load_attempts,
    load_events,
    load_lines,
    load_runs,
    load_states,
    say,
    settle_down,
)

PAGES = {
    "queue page": "/admin/jobs/queue/{queue}/change/",
    "queues": "/admin/jobs/queue/",
    "service page": "/admin/integrations/service/{service}/change/",
    "operations page": "/admin/operations/pendingoperation/?status=failed",
    "runs": "/admin/jobs/jobrun/",
    "failed runs": "/admin/jobs/jobrun/?status=failed",
    "log": "/admin/jobs/logline/",
    "errors of the log": "/admin/jobs/logline/?level=error",
    "log, a word": "/admin/jobs/logline/?q=order-4711",
    "patterns of the log": "/admin/jobs/logline/patterns/",
    "home": "/admin/",
    "dashboard": "/admin/dashboard/",
    "status": "/api/status",
}
"""Pages all of whose queries are explained."""


def main() -> None:
    """Print for each question the time, the scans and what is suspicious about them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--verbose", action="store_true", help="print the whole plans")
    asked = parser.parse_args()
    with ground():
        with in_bulk():
            load_states(completed=asked.rows * 8 // 10, pending=asked.rows // 10, failed=asked.rows // 10)
            load_attempts()
            load_events(asked.rows)
            load_lines(asked.rows)
            load_runs(asked.rows // 10)
        settle_down()
        for questions in (
            _questions(asked.rows // 20),
            _questions_of_events(),
            _questions_of_the_day(),
            _questions_of_pages(),
        ):
            for what, sql, params in list(questions):
                _explain(what, sql, params, asked.verbose)


def _questions(half: int) -> Iterator[tuple[str, str, Any]]:
    from django.db import connection
    from django.db.models.functions import Now
    from django.test.utils import CaptureQueriesContext

    from apps.actions import leases, running, statements
    from apps.actions.selections import Selection
    from apps.deadletters import backlog, causes, stats
    from apps.deadletters.models import DeadLetter, FailureFamily
    from apps.integrations.models import IntegrationEvent, Service
    from apps.jobs.models import Queue
    from apps.operations import claiming
    from apps.operations.foresight import overtaken
    from apps.operations.models import PendingOperation

    queue, service = Queue.objects.get(slug="crm"), Service.objects.get(slug="piperun")
    claim = (
        claiming.due(0)
        .filter(queue=queue, service=service)
        .order_by("due_at", "id")[:200]
        .annotate(refusal=PendingOperation.claim.refusal())
    )
    yield "claim 200", *statements._locked(claim, "pk", "refusal", skip=True)
    held = PendingOperation.objects.filter(status="processing", lease_until__lt=Now())
    yield "rescue", *statements._picked(PendingOperation.rescue, held, 1000)
    with CaptureQueriesContext(connection) as asked:
        leases.renew(PendingOperation, {1, 2})
        leases.renew(IntegrationEvent, {1})
    for what, query in zip(("operations", "events"), asked.captured_queries, strict=True):
        yield f"sign of life, {what}", query["sql"], None
    with CaptureQueriesContext(connection) as asked:
        claiming.free_services(queue)
    for number, query in enumerate(asked.captured_queries, 1):
        yield f"services with work, {number}", query["sql"], None
    for filters in ({"status": "failed"}, {"status": "failed", "service": "piperun"}, {}):
        chosen = Selection.matching(PendingOperation, filters)
        middle = chosen.rows().filter(status="failed").order_by("pk")[half : half + 1].get().pk
        batch = chosen.rows().filter(pk__gt=middle)
        yield (
            f"batch of 1,000 behind row {half:,}: {chosen.words()}",
            *statements._picked(PendingOperation.retry, batch, 1000),
        )
    failed = Selection.matching(PendingOperation, {"status": "failed"}).rows()
    legal = failed.annotate(refusal=PendingOperation.retry.refusal())
    yield "preview of retry, all failed", *_sql(legal.order_by().values("refusal", "status"))
    yield "preview of retry, what newer ones have overtaken", *_sql(overtaken(legal.filter(refusal=None)))
    yield "the next 11 rows of a canary", *_sql(legal.filter(refusal=None).order_by("pk").values("pk")[10:11])
    for name in ("pending", "failed", "completed"):
        rows = Selection.matching(PendingOperation, {"status": name}).rows()
        yield f"list, {name}, newest first", *_sql(rows.order_by("-pk")[:50])
    for service_name in ("piperun", "erp"):
        rows = Selection.matching(PendingOperation, {"status": "failed", "service": service_name}).rows()
        yield f"list, failed, {service_name}, newest first", *_sql(rows.order_by("-pk")[:50])
    yield "list, all, newest first", *_sql(PendingOperation.objects.live().order_by("-pk")[:50])
    for text in ("order-4711", "upstream 7 is", "no such thing anywhere", str(failed[0].pk)):
        rows = Selection.matching(PendingOperation, {"q": text}).rows()
        yield f"search {text[:20]!r}", *_sql(rows.order_by("-pk")[:50])
    letters = Selection.matching(DeadLetter, {"status": "unresolved"}).rows()
    yield "dead letters, unresolved, newest first", *_sql(letters.order_by("-pk")[:50])
    one = DeadLetter.objects.first()
    assert one is not None  # noqa: S101 # loaded above
    yield "dead letters of one cause", *_sql(letters.filter(fingerprint=one.fingerprint).order_by("-pk")[:50])
    for words in ({"class": "transient"}, {"class": "poison"}, {"type": "HTTP 503", "status": "unresolved"}):
        yield f"dead letters, {words}", *_sql(Selection.matching(DeadLetter, words).rows().order_by("-pk")[:50])
    oldest = DeadLetter.objects.filter(pk__in=list(letters.order_by("pk").values_list("pk", flat=True)[:1000]))
    movable = running.movable(DeadLetter.retry, oldest)
    yield "of the oldest 1,000, 100 that may be retried", *_sql(movable.order_by("pk").values("pk")[:100])
    known = list(FailureFamily.objects.values_list("fingerprint", flat=True)[:50])
    looks: dict[str, Callable[[], object]] = {
        "families by what waits": causes.causes,
        "groups by error and entity": backlog.groups,
        "trends of 50 families": lambda: backlog.trends(known),
        "stats": lambda: stats.stats(running.database_now()),
    }
    for what, look in looks.items():
        with CaptureQueriesContext(connection) as asked:
            look()
        for number, query in enumerate(asked.captured_queries, 1):
            yield f"{what}, {number}", query["sql"], None
    for text in ("upstream 7 is", "order 4711", str(one.source_id)):
        rows = Selection.matching(DeadLetter, {"q": text}).rows()
        yield f"search dead letters for {text[:20]!r}", *_sql(rows.order_by("-pk")[:50])
    keys = list(failed.order_by("pk").values_list("pk", flat=True)[:1000])
    following = DeadLetter.objects.filter(source_kind="operations.pendingoperation", source_id__in=keys)
    yield "the dead letters of 1,000 sources", *statements._picked(DeadLetter.follow_retry, following, 1000)


def _questions_of_events() -> Iterator[tuple[str, str, Any]]:
    import datetime as dt

    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from apps.actions import statements
    from apps.actions.running import database_now
    from apps.actions.selections import Selection
    from apps.integrations import counting, processing
    from apps.integrations.models import EventSource, IntegrationEvent

    claim = processing.due().order_by("due_at", "id").filter(crashes=0)[: processing.BATCH]
    yield (
        "events: claim",
        *statements._locked(claim.annotate(refusal=IntegrationEvent.claim.refusal()), "pk", skip=True),
    )
    event = IntegrationEvent.objects.filter(status="processed", subject="lead-77").defer("body").order_by("pk")[0]
    event.source = EventSource.objects.get()
    yesterday = database_now() - dt.timedelta(hours=24)
    with CaptureQueriesContext(connection) as asked:
        processing._newer_stands(event)
        counting.waiting()
        counting.day_since(yesterday)
    words = ("is a newer one there?", "waiting", "today by type and state", "sources")
    for what, query in zip(words, asked.captured_queries, strict=True):
        yield f"events: {what}", query["sql"], None
    filters: list[dict[str, str]] = [{}, *({"status": state} for state in ("failed", "received", "processed"))]
    filters += [{"type": "lead.7"}, {"source": "site"}, {"subject": "lead-77"}, {"outcome": "superseded"}]
    filters += [{"q": text} for text in ("event-4711", "lead-77", "field 7 is", "nowhere at all")]
    for words in filters:
        rows = Selection.matching(IntegrationEvent, words).rows().defer(*IntegrationEvent.heavy)
        yield f"events: list, {words}", *_sql(rows.order_by("-pk")[:50])


def _questions_of_the_day() -> Iterator[tuple[str, str, Any]]:
    import datetime as dt

    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from apps.actions.running import database_now
    from apps.integrations import counting
    from apps.integrations.models import Service
    from apps.integrations.traffic import calls_in
    from apps.operations.backlog import retry_queue
    from apps.operations.ended import deliveries

    now, service = database_now(), Service.objects.get(slug="piperun")
    with CaptureQueriesContext(connection) as asked:
        deliveries(now - dt.timedelta(hours=12))
        retry_queue()
        counting.to_be_tried_again()
        calls_in(service.pk, [(now - dt.timedelta(minutes=minutes), now) for minutes in (5, 60)])
    words = (
        "ended",
        "delivered within a quarter",
        "given up within a quarter",
        "operations to be tried again",
        "events to be tried again",
        "calls of an hour",
    )
    for what, query in zip(words, asked.captured_queries, strict=True):
        yield f"today: {what}", query["sql"], None


def _questions_of_pages() -> Iterator[tuple[str, str, Any]]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from apps.integrations.models import Service
    from apps.jobs.models import Queue
    from benchmarks.lists import asking

    keys = {"queue": Queue.objects.get(slug="crm").pk, "service": Service.objects.get(slug="piperun").pk}
    with asking() as (browser, monitor):
        for what, address in PAGES.items():
            client = monitor if address.startswith("/api/") else browser
            with CaptureQueriesContext(connection) as asked:
                answer = client.get(address.format(**keys))
            if answer.status_code != 200:
                raise SystemExit(f"{address}: {answer.status_code}")
            for number, query in enumerate(asked.captured_queries, 1):
                if not query["sql"].startswith("EXPLAIN") and any(table in query["sql"] for table in LARGE):
                    yield f"{what}, {number}", query["sql"], None


def _sql(rows: Any) -> tuple[str, Any]:
    sql, params = rows.query.sql_with_params()
    return sql, list(params)


def _explain(what: str, sql: str, params: Any, verbose: bool) -> None:
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", params)  # statements of our own
        (told,) = cursor.fetchone()
        transaction.set_rollback(True)
    plan = json.loads(told) if isinstance(told, str) else told
    nodes = list(_nodes(plan[0]["Plan"]))
    say(what, f"{plan[0]['Execution Time']:.2f} ms", *sorted({_suspicion(node) for node in nodes} - {""}))
    for node in nodes:
        if "Index Name" in node or node["Node Type"] == "Seq Scan":
            sys.stdout.write(f"    {node['Node Type']} {node.get('Index Name') or node.get('Relation Name')}\n")
    if verbose:
        sys.stdout.write(json.dumps(plan, indent=1) + "\n")


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from _nodes(inner)


def _suspicion(node: dict[str, Any]) -> str:
    read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    if node["Node Type"] == "Seq Scan" and read > 1000 and node["Relation Name"].startswith(tuple(LARGE)):
        return "SEQ SCAN"
    if node["Node Type"] in ("Sort", "Incremental Sort") and node["Actual Rows"] > 1000:
        return "SORT"
    return "many rows dropped" if node.get("Rows Removed by Filter", 0) > 20_000 else ""


if __name__ == "__main__":
    main()
