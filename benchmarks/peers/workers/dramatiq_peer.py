"""dramatiq: one message an operation, in Redis."""

import os
from typing import Any

import dramatiq
import work
from dramatiq.brokers.redis import RedisBroker

broker = RedisBroker(url=os.environ["REDIS_URL"])
dramatiq.set_broker(broker)


@dramatiq.actor
def deliver(operation: int, payload: dict[str, Any]) -> None:
    """Deliver one operation."""
    work.deliver(operation, payload)


def enqueue(operations: range, payload: dict[str, Any]) -> None:
    """Send a message for each operation."""
    for operation in operations:
        deliver.send(operation, payload)
