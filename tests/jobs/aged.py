"""Rows of every retention policy, as old as asked for and with nothing left to do, and the purge of a policy."""

import datetime as dt
import secrets
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session

from apps.actions.models import ActionItem, ActionRun, new_id
from apps.actions.running import database_now
from apps.deadletters.models import DeadLetter
from apps.integrations.models import (
    AccessRefusal,
    ApiKey,
    EventSource,
    IdempotencyRecord,
    IntegrationEvent,
    KeyUse,
    Service,
    SourceRefusal,
)
from apps.jobs import execution, retention
from apps.jobs.models import Job, JobRun, Queue, RetentionPolicy, TableSize
from apps.operations.models import Attempt, EditRule, PendingOperation
from apps.syncs.models import RejectedRecord, Sync
from tests.jobs.lines import said


def ago(days: float) -> dt.datetime:
    return database_now() - dt.timedelta(days=days)


def key_of(days: float) -> UUID:
    """A key that was made so long ago."""
    return UUID(int=retention.key_at(ago(days)).int | 7 << 76 | 2 << 62 | secrets.randbits(60))


def source() -> EventSource:
    return EventSource.objects.get_or_create(slug="site", defaults={"name": "site"})[0]


def event(days: float, status: str = "processed", **columns: Any) -> IntegrationEvent:
    told = {"event_id": str(new_id()), "event_type": "lead", "body": b"{}", "data": {}, "proof": "signed"}
    if status == "processed":
        columns.setdefault("processed_at", ago(days))
    return IntegrationEvent.objects.create(id=key_of(days), source=source(), status=status, **told | columns)


def operation(days: float, status: str = "completed", **columns: Any) -> PendingOperation:
    service, _made = Service.objects.get_or_create(slug="piperun", defaults={"name": "Piperun"})
    queue, _made = Queue.objects.get_or_create(slug="crm", defaults={"name": "crm"})
    if status == "completed":
        columns.setdefault("completed_at", ago(days))
    told = {"service": service, "queue": queue, "operation_type": "deal.create", "payload": {"title": "Ten chairs"}}
    return PendingOperation.objects.create(id=key_of(days), status=status, **told | columns)


def letter(days: float, status: str = "archived", **columns: Any) -> DeadLetter:
    told = {"source_kind": "operations.pendingoperation", "source_id": new_id(), "error_type": "x", "message": "x"}
    told |= {f"{status}_at": ago(days)} if status in ("archived", "resolved") else {}
    return DeadLetter.objects.create(id=key_of(days), status=status, fingerprint="f", **told | columns)


def action_run(days: float, status: str = "finished", **columns: Any) -> ActionRun:
    told = {"verb": "retry", "kind": "operations.pendingoperation", "actor_name": "root", "door": "command"}
    return ActionRun.objects.create(id=key_of(days), status=status, finished_at=ago(days), **told | columns)


def item(days: float, **columns: Any) -> ActionItem:
    told = {"kind": "jobs.queue", "object_id": new_id(), "verb": "pause", "actor_name": "root"}
    return ActionItem.objects.create(created_at=ago(days), **told | columns)


def job_run(days: float, status: str = "superseded", **columns: Any) -> JobRun:
    job, _made = Job.objects.get_or_create(slug="tell", defaults={"name": "Tell"})
    return JobRun.objects.create(
        **{"id": key_of(days), "job": job, "status": status, "updated_at": ago(days)} | columns
    )


def key_use(days: float) -> KeyUse:
    key, _made = ApiKey.objects.get_or_create(
        name="erp", defaults={"prefix": "a", "digest": "a", "group": Group.objects.get(name="Viewer")}
    )
    return KeyUse.objects.create(key=key, address=f"10.1.2.{KeyUse.objects.count()}", at=ago(days))


def refusal(days: float) -> AccessRefusal:
    return AccessRefusal.objects.create(hour=ago(days), reason="sign_in", last_at=ago(days))


def attempt(days: float, of: PendingOperation | None = None) -> Attempt:
    return Attempt.objects.create(operation=of or operation(days), at=ago(days))


def rejected(days: float, status: str = "applied", **columns: Any) -> RejectedRecord:
    service, _made = Service.objects.get_or_create(slug="books", defaults={"name": "books", "connector": "erp"})
    job = Job.objects.get(slug="erp-sync")
    sync, _made = Sync.objects.get_or_create(job=job, service=service)
    told = {"sync": sync, "job": job, "entity": "customer", "code": str(new_id()), "updated_at": ago(days)}
    return RejectedRecord.objects.create(id=key_of(days), status=status, **told | columns)


ROWS: dict[str, Callable[[float], Any]] = {
    "log-lines": lambda days: said(at=ago(days)),
    "attempts": attempt,
    "processed-events": event,
    "archived-events": lambda days: event(days, "failed", archived_at=ago(days)),
    "completed-operations": operation,
    "archived-operations": lambda days: operation(days, "failed", archived_at=ago(days)),
    "archived-dead-letters": letter,
    "resolved-dead-letters": lambda days: letter(days, "resolved"),
    "taken-in-records": rejected,
    "archived-records": lambda days: rejected(days, "failed", archived_at=ago(days)),
    "history": item,
    "action-runs": action_run,
    "job-runs": job_run,
    "edit-rules": lambda days: _dated(EditRule.objects.create(id=new_id(), patch=[]), created_at=ago(days)),
    "refused-access": refusal,
    "source-refusals": lambda days: SourceRefusal.objects.create(
        source=source(), reason="bad_signature", day=ago(days).date()
    ),
    "key-uses": key_use,
    "idempotency-records": lambda days: IdempotencyRecord.objects.create(
        caller="erp", key=str(new_id()), status_code=200, created_at=ago(days)
    ),
    "sessions": lambda days: Session.objects.create(session_key=str(new_id()), expire_date=ago(days)),
    "table-sizes": lambda days: TableSize.objects.create(table="jobs_queue", day=ago(days).date(), rows=1, bytes=1),
}
"""A row of each policy."""


def _dated(row: Any, **columns: Any) -> Any:
    type(row).objects.filter(pk=row.pk).update(**columns)
    return row


def purge(*slugs: str, **given: Any) -> JobRun:
    """Purge as a worker does."""
    run = retention.queue({"policies": list(slugs)} | given if slugs else given, "root")
    execution.run_here(run)
    run.refresh_from_db()
    return run


def policy(slug: str) -> RetentionPolicy:
    return RetentionPolicy.objects.get(slug=slug)


def there(row: Any) -> bool:
    return bool(type(row)._base_manager.filter(pk=row.pk).exists())
