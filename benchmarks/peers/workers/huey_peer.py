"""huey: one task an operation, in Redis, its result not kept."""

import os
from typing import Any

import work
from huey import RedisHuey

huey = RedisHuey("peer", url=os.environ["REDIS_URL"], results=False)


@huey.task()
def deliver(operation: int, payload: dict[str, Any]) -> None:
    """Deliver one operation."""
    work.deliver(operation, payload)


def enqueue(operations: range, payload: dict[str, Any]) -> None:
    """Enqueue a task for each operation."""
    for operation in operations:
        deliver(operation, payload)
