"""One call as it came in, and what is said back."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from aiohttp import web

SECRET_HEADERS = {"token", "authorization", "x-api-key", "apikey", "client-token", "api_access_token", "cookie"}
SECRET_PARAMETERS = {"token", "api_token", "access_token", "key", "apikey"}
KEY_HEADERS = ("idempotency-key", "webhook-id", "x-event-id")


@dataclass(slots=True)
class Call:
    """One request to a played service. `path` is what stands below the service's prefix."""

    id: int
    service: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: str | None = None
    """The body as it came, where it is JSON."""
    payload: object = None
    unreadable: bool = False
    """Whether there is a body that is not JSON."""
    tenant: str = ""
    known: bool = False
    """Whether it carries a token that is alive."""
    faults: list[str] = field(default_factory=list)

    @property
    def key(self) -> str | None:
        """The idempotency key of the headers; a quoted one is the same as a bare one."""
        return next((self.headers[name].strip('"') for name in KEY_HEADERS if self.headers.get(name)), None)

    @property
    def reference(self) -> str | None:
        """What tells operations apart: the body's `reference`, the key, or the reference that is looked up."""
        body = self.payload.get("reference") if isinstance(self.payload, dict) else None
        return writable(body) if isinstance(body, str) and body else self.key or self.query.get("reference") or None

    def fields(self) -> dict[str, object]:
        """The body where it is an object, else nothing."""
        return self.payload if isinstance(self.payload, dict) else {}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a vendor says: a status and a body, which is sent as JSON unless it is bytes already."""

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The bytes of the body."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body or b""
        return json.dumps(self.body, ensure_ascii=False).encode("utf-8", "replace")

    def response(self) -> web.Response:
        """The same for aiohttp."""
        content_type = "text/plain; charset=utf-8" if isinstance(self.body, bytes) else "application/json"
        headers = {"Content-Type": content_type, **self.headers}
        return web.Response(status=self.status, body=self.encoded(), headers=headers)


def read_json(body: bytes) -> tuple[str | None, object]:
    """A JSON body as text and as what it says; (None, None) where it is none. Raises ValueError where it is broken."""
    if not body:
        return None, None
    try:
        text = body.decode()
        return text, json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def writable(text: str) -> str:
    """Text as the store can keep it: half characters become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


@lru_cache(maxsize=1024)
def hashed(secret: str) -> str:
    """A secret as it is recorded: two calls with the same one can be told, the secret cannot."""
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()[:12]


def without_secrets(values: Mapping[str, str], names: set[str]) -> dict[str, str]:
    """The values, those under the given names hashed."""
    return {name: hashed(value) if name.lower() in names else value for name, value in values.items()}
