"""How many requests a client may send: token buckets in Valkey, moved by one script, so two at once never count as one.

Without Valkey each process keeps buckets of its own (S19): the limit then holds per process, and nobody is let through
uncounted. The limits are rows (`RateLimit`); a change holds within seconds.
"""

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import redis
from django.conf import settings
from django.db import Error

from apps.integrations.models import RateLimit

KEPT_SECONDS = 5.0
"""So long a process goes by the limits it has read."""
AWAY_SECONDS = 2.0
"""After Valkey did not answer, nobody waits for it so long."""
ANSWER_SECONDS = 0.2
OWN_AT_MOST = 10_000
"""So many buckets of its own a process keeps; beyond, the oldest are forgotten."""

HANDS_IN = {"x-rate-limit": RateLimit.Name.HANDING_IN.value}
"""Marks, in the documentation, a call that hands work in: it has a wider limit than those that read and run verbs."""

TAKE = """
local clock = redis.call('TIME')
local now, most, seconds = clock[1] + clock[2] / 1000000, tonumber(ARGV[1]), tonumber(ARGV[2])
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(kept[1]) or most
local gone = math.max(0, now - (tonumber(kept[2]) or now))
tokens = math.min(most, tokens + gone * most / seconds)
local taken = tokens >= 1 and 1 or 0
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens - taken), 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], math.ceil(seconds) + 1)
return {taken, string.format('%.6f', tokens - taken)}
"""


@dataclass(frozen=True)
class Limit:
    """So many requests in so many seconds: a full bucket, and the time in which an empty one fills."""

    name: str
    requests: int
    seconds: int


@dataclass(frozen=True)
class Standing:
    """How a client stands after a request: was it admitted, and what is left."""

    limit: Limit
    admitted: bool
    tokens: float

    @property
    def retry_after(self) -> int:
        """In how many whole seconds the next request is admitted."""
        missing = max(0.0, 1 - self.tokens)
        return max(1, math.ceil(missing * self.limit.seconds / self.limit.requests))

    @property
    def headers(self) -> dict[str, str]:
        """What the answer tells the client (RateLimit header fields, draft 11)."""
        full_in = math.ceil((self.limit.requests - self.tokens) * self.limit.seconds / self.limit.requests)
        told = {
            "RateLimit-Policy": f'"{self.limit.name}";q={self.limit.requests};w={self.limit.seconds}',
            "RateLimit": f'"{self.limit.name}";r={math.floor(self.tokens)};t={full_in}',
        }
        return told if self.admitted else told | {"Retry-After": str(self.retry_after)}


def admit(who: str, name: str) -> Standing:
    """Count a request of a client against a limit, and say whether it is admitted.

    `who` tells one client from another ("key:0192…", "address:203.0.113.5"), `name` is one of `RateLimit.Name`.
    """
    limit = limits()[name]
    taken, tokens = _shared(f"admit:{name}:{who}", limit) or _own.take(f"{name}:{who}", limit)
    return Standing(limit, taken, tokens)


class _Limits:
    """The limits as this process knows them."""

    def __init__(self) -> None:
        self.known: Mapping[str, Limit] = {}
        self.until = 0.0

    def now(self) -> Mapping[str, Limit]:
        """Return the limits, read again every few seconds; while the database is away, those that were read last."""
        if not self.known or time.monotonic() >= self.until:
            self.known, self.until = self._read(), time.monotonic() + KEPT_SECONDS
        return self.known

    def _read(self) -> Mapping[str, Limit]:
        shipped = {str(name): Limit(str(name), requests, 60) for name, requests in RateLimit.SHIPPED.items()}
        try:
            return shipped | {row.name: Limit(row.name, row.requests, row.seconds) for row in RateLimit.objects.all()}
        except Error:
            return self.known or shipped


_limits = _Limits()


def limits() -> Mapping[str, Limit]:
    """Return every limit by its name."""
    return _limits.now()


class _Own:
    """The buckets of this process, for while Valkey is away."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: str, limit: Limit) -> tuple[bool, float]:
        """Take one token; return whether there was one, and what is left."""
        with self.lock:
            now = time.monotonic()
            tokens, at = self.buckets.pop(key, (float(limit.requests), now))
            tokens = min(float(limit.requests), tokens + (now - at) * limit.requests / limit.seconds)
            taken = tokens >= 1
            self.buckets[key] = (tokens - taken, now)
            while len(self.buckets) > OWN_AT_MOST:
                del self.buckets[next(iter(self.buckets))]
            return taken, tokens - taken


_own = _Own()
_away_until = 0.0


def _shared(key: str, limit: Limit) -> tuple[bool, float] | None:
    """Take one token out of the bucket that all processes share; None while Valkey does not answer."""
    global _away_until
    if time.monotonic() < _away_until:
        return None
    try:
        taken, tokens = cast("list[Any]", _script()(keys=[key], args=[limit.requests, limit.seconds]))
    except (redis.RedisError, OSError):
        _away_until = time.monotonic() + AWAY_SECONDS
        return None
    return bool(taken), float(tokens)


@cache
def _script() -> Any:
    waits = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
    return redis.Redis.from_url(settings.REDIS_URL, **waits).register_script(TAKE)
