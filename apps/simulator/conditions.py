"""How a played service is doing: outage, latency, rate, and the switches that change what it offers."""

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

Z_P95 = 1.6449  # the standard normal's 95th percentile
How = Literal["unavailable", "reset", "hang"]


class Latency(BaseModel):
    """A lognormal delay by two of its percentiles, cut at `max_seconds`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    p50_seconds: float = Field(gt=0, le=3600)
    p95_seconds: float = Field(gt=0, le=3600)
    max_seconds: float = Field(60, gt=0, le=3600)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.p95_seconds < self.p50_seconds:
            raise ValueError("p95_seconds must not be below p50_seconds")
        return self

    def draw(self, random: Random) -> float:
        """One delay in seconds."""
        spread = math.log(self.p95_seconds / self.p50_seconds) / Z_P95
        return min(random.lognormvariate(math.log(self.p50_seconds), spread), self.max_seconds)


class Outage(BaseModel):
    """The service is down: it answers 503, cuts every connection, or never answers."""

    model_config = ConfigDict(extra="forbid")
    how: How = "unavailable"
    until: float | None = None
    """Seconds since 1970; None: until it is ended."""

    def lasts(self) -> bool:
        """Whether it still holds."""
        return self.until is None or time.time() < self.until


class Conditions(BaseModel):
    """What can be set for a service."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    latency: Latency | None = None
    rate_per_second: float | None = Field(None, gt=0, le=1_000_000)
    burst: PositiveInt | None = None
    """How many calls may come at once; None: one second's worth."""
    retry_after_seconds: int | None = Field(1, ge=0)
    """What a call beyond the rate is told; None: no header."""
    outage: Outage | None = None
    checks_token: bool = False
    reference_filter: bool = True
    """Piperun: whether `GET /deals?reference=` filters, or is ignored."""
    honours_keys: bool = True
    """HTTP receivers: whether a key seen before gets the first answer again, or makes a second effect."""


class Bucket:
    """A token bucket: `rate` calls a second on average, `burst` at once."""

    def __init__(self, rate: float, burst: int | None) -> None:
        self.rate, self.burst = rate, burst or max(1, round(rate))
        self.level, self.filled_at = float(self.burst), time.monotonic()

    def take(self) -> bool:
        """Whether one more call is allowed now."""
        now = time.monotonic()
        self.level = min(self.burst, self.level + (now - self.filled_at) * self.rate)
        self.filled_at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


class Weather:
    """The conditions of one service, and what moves with each call."""

    def __init__(self, conditions: Conditions, seed: str) -> None:
        self.random = Random(seed)  # noqa: S311 # repeatable on purpose
        self.in_flight = 0
        self.set(conditions)

    def set(self, conditions: Conditions) -> None:
        """From now on these."""
        self.conditions = conditions
        rate = conditions.rate_per_second
        self.bucket = Bucket(rate, conditions.burst) if rate else None

    def outage(self) -> How | None:
        """How it is down, if it is."""
        outage = self.conditions.outage
        return outage.how if outage and outage.lasts() else None

    def too_many(self) -> bool:
        """Whether this call is beyond the rate."""
        return bool(self.bucket and not self.bucket.take())

    def half_latency(self) -> float:
        """Half of one drawn delay: a service works before its effect and after it."""
        return self.conditions.latency.draw(self.random) / 2 if self.conditions.latency else 0.0

    @contextmanager
    def flying(self) -> Iterator[None]:
        """Counts a call while it lasts."""
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1


async def pause(seconds: float) -> None:
    """Wait; nothing at all for zero, not even a turn of the loop."""
    if seconds > 0:
        await asyncio.sleep(seconds)
