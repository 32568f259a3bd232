"""Runs that people ask for on a sync or a tenant, off schedule."""

from apps.actions.verbs import Moved
from apps.jobs.models import JobRun
from apps.jobs.scheduling import ask


def asked_for(moved: Moved) -> None:
    """Queue a run of the job of each sync, for its tenant; where one waits already, that one will do."""
    for sync in moved.rows.select_related("job").order_by("pk"):
        waiting = JobRun.objects.filter(job=sync.job_id, tenant=sync.tenant_id, status=JobRun.Status.QUEUED, given={})
        if not waiting.exists():
            ask(sync.job, [sync.tenant_id], moved.actor_name, {})
