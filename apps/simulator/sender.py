"""A sender of events: to a door of the console, signed as real senders sign, and as unruly as they are.

Doubled, shuffled, some of them badly signed, repeated until they are taken: what a burst of webhooks brings (R23).
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal
from urllib.parse import urlsplit

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, field_validator

PAUSE_SECONDS = 0.2
"""Between two tries."""
NOT_ANSWERED = 0

Scheme = Literal["standard", "chatwoot", "hmac", "path", "cloudevents"]


class EventsAsked(BaseModel):
    """What is to be sent: `count` events over so many `subjects`, each a second after the one before it."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    url: str
    scheme: Scheme = "standard"
    secret: str = ""
    headers: dict[str, str] = {}
    """Sent along: an API key, a traceparent."""
    source: str = "simulator"
    event_type: str = "lead.updated"
    count: int = Field(1, ge=1, le=100_000)
    first: int = Field(0, ge=0)
    """The number of the first one: events of two askings differ by it."""
    subjects: int = Field(1, ge=1, le=100_000)
    data: dict[str, object] = {}
    doubled_percent: float = Field(0, ge=0, le=100)
    badly_signed_percent: float = Field(0, ge=0, le=100)
    shuffled: bool = False
    per_second: float | None = Field(None, gt=0)
    at_once: int = Field(10, ge=1, le=200)
    tries: int = Field(1, ge=1, le=1000)

    @field_validator("url")
    @classmethod
    def _on_this_machine(cls, url: str) -> str:
        """Nothing is sent to the world from here."""
        parts = urlsplit(url)
        try:
            if parts.scheme == "http" and ipaddress.ip_address(parts.hostname or "").is_loopback:
                return url
        except ValueError:
            pass
        raise ValueError("give an http URL on a loopback address, such as http://127.0.0.1:8000/webhook/site")


class Sender:
    """One asking, carried out."""

    def __init__(self, asked: EventsAsked, seed: int) -> None:
        self.asked = asked
        self.random = Random(f"{seed}:events:{asked.url}:{asked.first}")  # noqa: S311 # repeatable on purpose
        self.begins = datetime.now(UTC) - timedelta(seconds=asked.first + asked.count + 60)
        self.answers: Counter[int] = Counter()
        self.accepted: set[int] = set()
        self.duplicates = 0

    async def send(self) -> dict[str, object]:
        """Send them all; tell how each was answered, and the numbers of those that were taken."""
        began, places = time.monotonic(), asyncio.Semaphore(self.asked.at_once)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30), trust_env=False) as session:
            tasks = []
            for place, (number, badly) in enumerate(self._order()):
                await self._wait_for_turn(began, place)
                await places.acquire()
                task = asyncio.create_task(self._one(session, number, badly))
                task.add_done_callback(lambda _done: places.release())
                tasks.append(task)
            await asyncio.gather(*tasks)
        return {
            "sent": len(tasks),
            "seconds": round(time.monotonic() - began, 3),
            "answers": {str(status): count for status, count in sorted(self.answers.items())},
            "duplicates": self.duplicates,
            "accepted": sorted(self.accepted),
        }

    def _order(self) -> list[tuple[int, bool]]:
        """Return the number of each event to be sent, and whether it is badly signed."""
        asked = self.asked
        numbers = list(range(asked.first, asked.first + asked.count))
        numbers += [number for number in numbers if self.random.random() * 100 < asked.doubled_percent]
        if asked.shuffled:
            self.random.shuffle(numbers)
        return [(number, self.random.random() * 100 < asked.badly_signed_percent) for number in numbers]

    async def _wait_for_turn(self, began: float, place: int) -> None:
        if self.asked.per_second:
            await asyncio.sleep(max(0, began + place / self.asked.per_second - time.monotonic()))

    async def _one(self, session: aiohttp.ClientSession, number: int, badly: bool) -> None:
        for last in range(self.asked.tries - 1, -1, -1):
            status, duplicate = await self._try(session, number, badly)
            self.answers[status] += 1
            if 200 <= status < 300:
                self.accepted.add(number)
                self.duplicates += duplicate
            if status not in (NOT_ANSWERED, 429) and status < 500:
                return
            if last:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _try(self, session: aiohttp.ClientSession, number: int, badly: bool) -> tuple[int, bool]:
        body, headers = self._event(number, badly)
        try:
            async with session.post(self.asked.url, data=body, headers=headers) as response:
                told = await response.json(content_type=None) if response.status < 300 else {}
                return response.status, bool(told.get("duplicate"))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return NOT_ANSWERED, False

    def _event(self, number: int, badly: bool) -> tuple[bytes, dict[str, str]]:
        asked = self.asked
        key, at = f"{asked.source}-{number}", (self.begins + timedelta(seconds=number)).isoformat()
        subject = f"lead-{number % asked.subjects}"
        data = {"n": number, "subject": subject, "version": number // asked.subjects, **asked.data}
        told: dict[str, object] = {"type": asked.event_type, "timestamp": at, "subject": subject, "data": data}
        if asked.scheme == "cloudevents":
            told |= {"specversion": "1.0", "id": key, "source": asked.source, "time": told.pop("timestamp")}
        body = json.dumps(told).encode()
        kind = "application/cloudevents+json" if asked.scheme == "cloudevents" else "application/json"
        secret = f"{asked.secret}x" if badly and asked.scheme != "standard" else asked.secret
        signed = body + b" " if badly else body
        return body, {"Content-Type": kind, **signature(asked.scheme, secret, key, signed), **asked.headers}


def signature(scheme: Scheme, secret: str, key: str, body: bytes) -> dict[str, str]:
    """Return the headers that a sender of a scheme adds."""
    now = str(int(time.time()))
    match scheme:
        case "standard":
            raw = base64.b64decode(secret.removeprefix("whsec_"))
            signed = base64.b64encode(_hmac(raw, f"{key}.{now}.".encode() + body)).decode()
            return {"webhook-id": key, "webhook-timestamp": now, "webhook-signature": f"v1,{signed}"}
        case "chatwoot":
            signed = _hmac(secret.encode(), f"{now}.".encode() + body).hex()
            return {
                "X-Chatwoot-Timestamp": now,
                "X-Chatwoot-Signature": f"sha256={signed}",
                "X-Chatwoot-Delivery": key,
            }
        case "hmac":
            return {"X-Webhook-Signature": _hmac(secret.encode(), body).hex(), "X-Event-ID": key}
        case "path" | "cloudevents":
            return {"X-Event-ID": key}


def _hmac(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, hashlib.sha256)
