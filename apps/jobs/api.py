"""The API of processes: which run, and what each does now."""

from typing import Any

from django.http import HttpRequest
from ninja import Router

from apps.actions.api import actor_of
from apps.actions.permissions import require_view
from apps.actions.running import database_now
from apps.jobs.models import Process, Queue
from apps.jobs.processes import told
from apps.jobs.schemas import ProcessPage

processes = Router(tags=["processes"])
MOST = 500


@processes.get("", response=ProcessPage, summary="List the processes of the console")
def list_processes(request: HttpRequest) -> Any:
    """Every process that runs, or fell silent within the last day. Who may see queues may see who works on them."""
    require_view(actor_of(request), Queue)
    rows = list(Process.objects.all()[:MOST])
    found = told(rows, database_now())
    return {"items": [_shown(row, standing) for row, standing in zip(rows, found, strict=True)]}


def _shown(row: Process, standing: Any) -> dict[str, Any]:
    names = ("id", "name", "kind", "node", "queues", "concurrency", "version", "restarted_by", "since", "beat_at")
    columns = {name: getattr(row, name) for name in names}
    doing = [each.words for each in standing.doing]
    return columns | {"silent": standing.silent, "doing": doing, "older_secrets": standing.older}
