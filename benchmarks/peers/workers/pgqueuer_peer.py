"""pgqueuer: one job an operation, in PostgreSQL, taken and logged in batches."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import async_work
import asyncpg
import uvloop
from pgqueuer import AsyncpgPoolDriver, Job, PgQueuer, Queries, run

BATCH = 100


@asynccontextmanager
async def worker() -> AsyncIterator[PgQueuer]:
    """Make what `run` runs."""
    async with asyncpg.create_pool() as pool:
        made = PgQueuer(AsyncpgPoolDriver(pool))

        @made.entrypoint("deliver")
        async def deliver(job: Job) -> None:
            told = json.loads(job.payload or b"{}")
            await async_work.deliver(told["operation"], told["payload"])

        yield made


def enqueue(operations: range, payload: dict[str, Any]) -> None:
    """Enqueue a job for each operation."""
    asyncio.run(_enqueue([json.dumps({"operation": number, "payload": payload}).encode() for number in operations]))


async def _enqueue(told: list[bytes]) -> None:
    async with asyncpg.create_pool() as pool:
        queries = Queries(AsyncpgPoolDriver(pool))
        await queries.install()
        await queries.enqueue(["deliver"] * len(told), told, [0] * len(told))


if __name__ == "__main__":
    uvloop.run(run(worker, batch_size=BATCH, max_concurrent_tasks=2 * BATCH))
