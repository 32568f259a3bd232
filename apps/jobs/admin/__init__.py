"""The pages of jobs, queues, tenants and heartbeats."""

from django.contrib import admin
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from apps.jobs.admin.heartbeats import HeartbeatAdmin
from apps.jobs.admin.jobs import JobAdmin, JobRunAdmin
from apps.jobs.admin.logs import LogLineAdmin
from apps.jobs.admin.pausing import PausedColumns
from apps.jobs.admin.processes import ProcessAdmin
from apps.jobs.admin.queues import QueueAdmin
from apps.jobs.admin.retention import RetentionPolicyAdmin, StorageBudgetAdmin
from apps.jobs.admin.tenants import TenantAdmin

__all__ = [
    "HeartbeatAdmin",
    "JobAdmin",
    "JobRunAdmin",
    "LogLineAdmin",
    "PausedColumns",
    "ProcessAdmin",
    "QueueAdmin",
    "RetentionPolicyAdmin",
    "StorageBudgetAdmin",
    "TenantAdmin",
]

# The ticker's own pages carry inline scripts, and a schedule edited there would pass by ours.
for ticking in (ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule):
    admin.site.unregister(ticking)
