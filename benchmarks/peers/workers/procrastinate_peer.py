"""procrastinate: one job an operation, in PostgreSQL."""

import asyncio
from typing import Any

import async_work
import uvloop
from procrastinate import App, PsycopgConnector

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
app = App(connector=PsycopgConnector())


@app.task(name="deliver")
async def deliver(operation: int, payload: dict[str, Any]) -> None:
    """Deliver one operation."""
    await async_work.deliver(operation, payload)


def enqueue(operations: range, payload: dict[str, Any]) -> None:
    """Defer a job for each operation."""
    asyncio.run(_enqueue([{"operation": number, "payload": payload} for number in operations]))


async def _enqueue(told: list[dict[str, Any]]) -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await deliver.batch_defer_async(*told)
