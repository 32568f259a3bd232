"""Celery: one task an operation, its messages in Redis."""

import os
from typing import Any

import work
from celery import Celery

app = Celery(
    "peer", broker=os.environ["REDIS_URL"].replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")
)
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=64, worker_enable_remote_control=False)


@app.task
def deliver(operation: int, payload: dict[str, Any]) -> None:
    """Deliver one operation."""
    work.deliver(operation, payload)


def enqueue(operations: range, payload: dict[str, Any]) -> None:
    """Send a task for each operation."""
    with app.producer_pool.acquire() as producer:
        for operation in operations:
            deliver.apply_async([operation, payload], producer=producer)
