"""One operation, the way the users of an asynchronous peer would write it: aiohttp and a pool of asyncpg."""

import asyncio
import os
from functools import cache
from typing import Any

import aiohttp
import asyncpg

UPDATE = "UPDATE outcome SET status = 'completed', status_code = $1, completed_at = clock_timestamp() WHERE id = $2"


async def deliver(operation: int, payload: dict[str, Any]) -> None:
    """Call the far end and write down what it said."""
    session, pool = await _kept()
    async with session.post(os.environ["TARGET"], json=payload) as answer:
        await answer.read()
    await pool.execute(UPDATE, answer.status, operation)


@cache
def _kept() -> asyncio.Task[tuple[aiohttp.ClientSession, asyncpg.Pool]]:
    """Connect once, whoever asks first; the others wait for the same task."""
    return asyncio.create_task(_connect())


async def _connect() -> tuple[aiohttp.ClientSession, asyncpg.Pool]:
    return aiohttp.ClientSession(), await asyncpg.create_pool(min_size=10, max_size=10)
