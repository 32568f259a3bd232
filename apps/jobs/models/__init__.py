"""Jobs and their runs, what can be paused, and the heartbeats of everything that must not fall silent."""

from apps.jobs.models.heartbeat import MISSED, Heartbeat
from apps.jobs.models.job import Job, JobRun
from apps.jobs.models.logline import LogLine
from apps.jobs.models.pausing import Pausable, pausing, resuming
from apps.jobs.models.process import Process
from apps.jobs.models.queue import Queue
from apps.jobs.models.report import Report
from apps.jobs.models.retention import ArchiveFile, RetentionPolicy, StorageBudget, TableSize
from apps.jobs.models.tenant import Tenant

__all__ = [
    "MISSED",
    "ArchiveFile",
    "Heartbeat",
    "Job",
    "JobRun",
    "LogLine",
    "Pausable",
    "Process",
    "Queue",
    "Report",
    "RetentionPolicy",
    "StorageBudget",
    "TableSize",
    "Tenant",
    "pausing",
    "resuming",
]
