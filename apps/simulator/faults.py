"""Faults: which calls they meet, how often, and what they do. `ANY_FAULT` reads one from JSON by its `effect`."""

import asyncio
import email.utils
import socket
import struct
import time
import zlib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from random import Random
from typing import Annotated, Any, Literal, Self

from aiohttp import web
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    model_validator,
)

from apps.simulator.calls import Answer, Call
from apps.simulator.conditions import Latency
from apps.simulator.vendors import Vendor

MEGABYTE = 1024 * 1024
HTML = b"<!doctype html><title>502 Bad Gateway</title><h1>Bad gateway</h1><p>nginx</p>"
HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
HeaderValue = Annotated[str, Field(pattern=r"^[ -~]*$")]
GARBAGE = {"html": HTML, "cut": b'{"success": true, "data": {"id": 12, "ti', "binary": bytes(range(256)), "empty": b""}


class Cut(Exception):
    """The connection was reset: no answer reaches anyone."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a fault plays."""

    request: web.Request
    vendor: Vendor
    random: Random
    answer: Answer | None
    """What the vendor said, where the effect is done already."""


class Fault(BaseModel):
    """What all faults have: the calls they meet, and how often. Patterns are globs (`*`, `?`, `[...]`)."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    service: str = "*"
    method: str = "*"
    path: str = "*"
    """Below the service's prefix: `/v1/deals*` for Piperun."""
    tenant: str | None = None
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    payload: dict[str, str] = {}
    """Field of the body → glob of its value as text."""
    after_effect: bool = False
    """The effect is done and kept first; without it the fault comes before the effect."""
    spare: NonNegativeInt = 0
    """How many calls it lets pass before it begins."""
    times: PositiveInt | None = None
    percent: float = Field(100, gt=0, le=100)
    for_seconds: PositiveFloat | None = None

    def meets(self, call: Call) -> bool:
        """Whether it is about this call at all."""
        return (
            fnmatchcase(call.service, self.service)
            and fnmatchcase(call.method, self.method.upper())
            and fnmatchcase(call.path, self.path)
            and self.tenant in (None, call.tenant)
            and _all_match({name.lower(): glob for name, glob in self.headers.items()}, call.headers)
            and _all_match(self.query, call.query)
            and _all_match(self.payload, call.fields())
        )

    async def play(self, scene: Scene) -> web.StreamResponse | None:
        """Do it; None: the call goes on."""
        raise NotImplementedError


class Refuse(Fault):
    """A status of choice, with a body of choice (JSON, or text as it is) or the vendor's own."""

    effect: Literal["answer"]
    status: int = Field(ge=200, le=599)
    body: Any = None
    answer_headers: dict[HeaderName, HeaderValue] = {}

    async def play(self, scene: Scene) -> web.StreamResponse | None:
        """Answer in the vendor's place."""
        body = self.body.encode() if isinstance(self.body, str) else self.body
        body = scene.vendor.error(self.status, "Simulated fault").body if body is None else body
        return Answer(self.status, body, self.answer_headers).response()


class Unauthorized(Fault):
    """The token is refused, whatever it is."""

    effect: Literal["unauthorized"]

    async def play(self, scene: Scene) -> web.StreamResponse | None:
        """401, in the vendor's words."""
        return scene.vendor.error(401, "Unauthorized").response()


class TooMany(Fault):
    """429 (or 503), with `Retry-After` in one of the forms seen in the wild."""

    effect: Literal["rate_limit"]
    status: Literal[429, 503] = 429
    retry_after: Literal["seconds", "date", "junk", "none"] = "seconds"
    wait_seconds: int = Field(5, ge=-(10**10), le=10**10)

    async def play(self, scene: Scene) -> web.StreamResponse | None:
        """Refuse before any work."""
        answer = scene.vendor.error(self.status, "Too Many Attempts.")
        return Answer(answer.status, answer.body, self._headers()).response()

    def _headers(self) -> dict[str, str]:
        match self.retry_after:
            case "seconds":
                return {"Retry-After": str(self.wait_seconds)}
            case "date":
                return {"Retry-After": email.utils.formatdate(time.time() + self.wait_seconds, usegmt=True)}
            case "junk":
                return {"Retry-After": "in a while"}
            case "none":
                return {}


class Delay(Fault):
    """Slow: fixed `seconds`, or drawn by two percentiles. The call goes on even if its caller has left."""

    effect: Literal["delay"]
    seconds: PositiveFloat | None = Field(None, le=3600)
    latency: Latency | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.seconds is None) == (self.latency is None):
            raise ValueError("give either seconds or latency")
        return self

    async def play(self, scene: Scene) -> web.StreamResponse | None:
        """Wait, then let the call go on."""
        await asyncio.sleep(self.latency.draw(scene.random) if self.latency else self.seconds or 0)
        return None


class Hang(Fault):
    """No answer, ever."""

    effect: Literal["hang"]

    async def play(self, scene: Scene) -> web.StreamResponse | None:
        """Wait until the caller gives up."""
        return await hang(scene.request)


class Drop(Fault):
    """The connection is reset before anything was done."""

    effect: Literal["drop"]

    async def play(self, scene: Scene) -> web.StreamResponse | None:
        """Reset it."""
        raise cut(scene.request)


class LoseAnswer(Fault):
    """The effect is done and kept, then the connection is reset."""

    effect: Literal["lose_answer"]
    after_effect: Literal[True] = True

    async def play(self, scene: Scene) -> web.StreamResponse | None:
        """Reset it."""
        raise cut(scene.request)


class Drip(Fault):
    """The true answer, a few bytes a second."""

    effect: Literal["drip"]
    after_effect: Literal[True] = True
    bytes_per_second: PositiveInt = 1

    async def play(self, scene: Scene) -> web.StreamResponse | None:
        """Write it slowly."""
        body = scene.answer.encoded() if scene.answer else b""
        answer = await _begin(scene, {"Content-Type": "application/json", "Content-Length": str(len(body))})
        step = max(1, self.bytes_per_second // 10)
        for start in range(0, len(body), step):
            await answer.write(body[start : start + step])
            await asyncio.sleep(step / self.bytes_per_second)
        return answer


class Huge(Fault):
    """A body without end: plain, or a gzip bomb that is small on the way."""

    effect: Literal["huge"]
    bytes: PositiveInt = 10 * 1024 * MEGABYTE
    gzip: bool = False

    async def play(self, scene: Scene) -> web.StreamResponse | None:
        """Write white space until the size is reached or the caller has left."""
        headers = {"Content-Type": "application/json"} | ({"Content-Encoding": "gzip"} if self.gzip else {})
        answer = await _begin(scene, headers)
        packer = zlib.compressobj(9, wbits=31) if self.gzip else None
        for left in range(self.bytes, 0, -MEGABYTE):
            chunk = b" " * min(left, MEGABYTE)
            await answer.write(packer.compress(chunk) if packer else chunk)
            await asyncio.sleep(0)  # let the others in
        await answer.write(packer.flush() if packer else b"")
        return answer


class EndlessHeaders(Fault):
    """Header after header, and never a body."""

    effect: Literal["endless_headers"]
    bytes: PositiveInt = 100 * MEGABYTE

    async def play(self, scene: Scene) -> web.StreamResponse | None:
        """Write them below aiohttp, which would refuse."""
        transport = scene.request.transport
        block = b"".join(b"X-Pad-%d: %s\r\n" % (number, b"x" * 1000) for number in range(64))
        if transport:
            transport.write(b"HTTP/1.1 200 OK\r\nX-Simulated: 1\r\n")
        for _ in range(0, self.bytes, len(block)):
            while transport and transport.get_write_buffer_size() and not transport.is_closing():
                await asyncio.sleep(0.01)
            if transport is None or transport.is_closing():
                break
            transport.write(block)
        raise cut(scene.request)


class Garbage(Fault):
    """200, and a body that is not what was due."""

    effect: Literal["garbage"]
    kind: Literal["html", "cut", "binary", "empty"] = "html"

    async def play(self, scene: Scene) -> web.StreamResponse | None:
        """Answer it."""
        content_type = "text/html" if self.kind == "html" else "application/json"
        return Answer(200, GARBAGE[self.kind], {"Content-Type": content_type}).response()


ANY_FAULT: TypeAdapter[Fault] = TypeAdapter(
    Annotated[
        Refuse | Unauthorized | TooMany | Delay | Hang | Drop | LoseAnswer | Drip | Huge | EndlessHeaders | Garbage,
        Field(discriminator="effect"),
    ]
)


def cut(request: web.Request) -> Cut:
    """Reset the connection; raise what comes back."""
    if request.transport and (connection := request.transport.get_extra_info("socket")):
        # Lingering for zero seconds makes the kernel send RST instead of an orderly FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return Cut()


async def hang(request: web.Request) -> web.StreamResponse:
    """Wait until the caller has gone."""
    while request.transport and not request.transport.is_closing():
        await asyncio.sleep(0.2)
    raise Cut


async def _begin(scene: Scene, headers: dict[str, str]) -> web.StreamResponse:
    answer = web.StreamResponse(status=scene.answer.status if scene.answer else 200, headers=headers)
    await answer.prepare(scene.request)
    return answer


def _all_match(globs: dict[str, str], values: Any) -> bool:
    return all(name in values and fnmatchcase(str(values[name]), glob) for name, glob in globs.items())
