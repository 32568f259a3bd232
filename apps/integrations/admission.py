"""How many requests a client may send: token buckets in Valkey, moved by one script, so two at once never count as one.

Without Valkey each process keeps buckets of its own (S19): the limit then holds per process, and nobody is let through
uncounted. The limits are rows (`RateLimit`); a change holds within seconds.
"""

import math
import threading
import time
from collections.abc import Mapping, Sequence
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
local now, told = clock[1] + clock[2] / 1000000, {}
for number, key in ipairs(KEYS) do
    local most, seconds, want = unpack(ARGV, 3 * number - 2, 3 * number)
    most, seconds, want = tonumber(most), tonumber(seconds), tonumber(want)
    local kept = redis.call('HMGET', key, 'tokens', 'at')
    local tokens = tonumber(kept[1]) or most
    local gone = math.max(0, now - (tonumber(kept[2]) or now))
    tokens = math.min(most, tokens + gone * most / seconds)
    local taken = math.min(math.floor(tokens), want)
    redis.call('HSET', key, 'tokens', string.format('%.6f', tokens - taken), 'at', string.format('%.6f', now))
    redis.call('EXPIRE', key, math.ceil(seconds) + 1)
    told[2 * number - 1], told[2 * number] = taken, string.format('%.6f', tokens - taken)
    if taken == 0 then break end
end
return told
"""
"""Takes as many tokens as are wanted, or as there are, out of each bucket in turn, until one has none."""

AHEAD_SECONDS = 0.25
"""Who comes so fast again is fetched several tokens at once, and they are good for as long."""
AHEAD_SHARE = 100
"""One part in so many of a bucket is fetched at once at most: a process may hold no more of it back from the others."""


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

    `who` tells one client from another ("key:4f1a…", "address:203.0.113.5"), `name` is one of `RateLimit.Name`.
    """
    return admit_all((who, name))[-1]


def admit_all(*asked: tuple[str, str]) -> list[Standing]:
    """Count a request against several limits, each as (who, name), in one round trip; beyond one that refuses, none counts."""
    known = limits()
    buckets = [(f"{name}:{who}", known[name]) for who, name in asked]
    taken = _ahead.take_all(buckets) or _shared(buckets) or _own.take_all(buckets)
    return [Standing(limit, *found) for (_key, limit), found in zip(buckets, taken, strict=False)]


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

    def take_all(self, buckets: Sequence[tuple[str, Limit]]) -> list[tuple[bool, float]]:
        """Take a token out of each bucket, until one has none."""
        found: list[tuple[bool, float]] = []
        for key, limit in buckets:
            found.append(self.take(key, limit))
            if not found[-1][0]:
                break
        return found

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


@dataclass(slots=True)
class _Fetched:
    """Tokens of a bucket that this process has taken and not used yet, and what was left when it took them."""

    limit: Limit
    held: int
    left: float
    size: int
    until: float


class _Ahead:
    """Tokens taken ahead of clients that come fast: each request is counted before it is admitted, most without a round trip."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.buckets: dict[str, _Fetched] = {}

    def take_all(self, buckets: Sequence[tuple[str, Limit]]) -> list[tuple[bool, float]] | None:
        """Use one token of each bucket; None, and nothing used, where one of them has to be asked for."""
        with self.lock:
            now, found = time.monotonic(), list[_Fetched]()
            for key, limit in buckets:
                fetched = self.buckets.get(key)
                if fetched is None or not fetched.held or fetched.limit != limit or fetched.until < now:
                    return None
                found.append(fetched)
            for fetched in found:
                fetched.held -= 1
            return [(True, fetched.left + fetched.held) for fetched in found]

    def wanted(self, key: str, limit: Limit) -> int:
        """Return how many to fetch: one, and twice as many as last time where those did not last."""
        with self.lock:
            last = self.buckets.get(key)
            size = 2 * last.size if last and not last.held and time.monotonic() <= last.until else 1
        return max(1, min(size, limit.requests // AHEAD_SHARE))

    def keep(self, key: str, limit: Limit, taken: int, left: float) -> None:
        """Keep what was fetched beside the token that is used now."""
        with self.lock:
            now, other = time.monotonic(), self.buckets.pop(key, None)
            # Two that found nothing have both fetched.
            held = other.held if other and other.limit == limit and other.until >= now else 0
            self.buckets[key] = _Fetched(limit, taken - 1 + held, left, taken, now + AHEAD_SECONDS)
            while len(self.buckets) > OWN_AT_MOST:
                del self.buckets[next(iter(self.buckets))]


_own = _Own()
_ahead = _Ahead()
_away_until = 0.0


def _shared(buckets: Sequence[tuple[str, Limit]]) -> list[tuple[bool, float]] | None:
    """Take tokens out of the buckets that all processes share; None while Valkey does not answer."""
    global _away_until
    if time.monotonic() < _away_until:
        return None
    try:
        words = [
            number for key, limit in buckets for number in (limit.requests, limit.seconds, _ahead.wanted(key, limit))
        ]
        told = cast("list[Any]", _script()(keys=[f"admit:{key}" for key, _limit in buckets], args=words))
    except (redis.RedisError, OSError):
        _away_until = time.monotonic() + AWAY_SECONDS
        return None
    found = [(int(taken), float(tokens)) for taken, tokens in zip(told[::2], told[1::2], strict=True)]
    for (key, limit), (taken, left) in zip(buckets, found, strict=False):
        if taken:
            _ahead.keep(key, limit, taken, left)
    return [(taken > 0, left + max(taken - 1, 0)) for taken, left in found]


@cache
def _script() -> Any:
    waits = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
    return redis.Redis.from_url(settings.REDIS_URL, **waits).register_script(TAKE)
