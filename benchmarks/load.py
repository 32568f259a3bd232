"""Sends requests over kept connections as fast as they are answered, for some seconds; prints how many and how long they took.

A process of its own around libcurl: it takes a tenth of what a web process takes for a request, so it does not bind.
"""

import base64
import hashlib
import hmac
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import pycurl

CONNECTIONS = 32
SEQUENCE = "@n"
"""Stands for a number that no other request of the run has: an id's end."""


@dataclass(frozen=True)
class Load:
    """What to send where. `many` sends a list of so many items under this name; `secret` signs as Standard Webhooks has it."""

    url: str
    item: str
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 5.0
    connections: int = CONNECTIONS
    name: str = ""
    many: int = 0
    secret: str = ""


@dataclass(frozen=True)
class Answered:
    """What came of it: requests a second, and milliseconds that an answer took."""

    rate: float
    count: int
    p50: float
    p95: float
    p99: float
    statuses: Mapping[str, int]
    refusal: str = ""
    """What the first that was not taken in was answered."""

    @property
    def times(self) -> str:
        """Say how long an answer took."""
        return f"p50 {self.p50} ms, p95 {self.p95} ms, p99 {self.p99} ms"


def send(load: Load) -> Answered:
    """Send, from a process of its own; `RuntimeError` where anything but 2xx was answered."""
    words = [sys.executable, "-m", "benchmarks.load"]
    done = subprocess.run(words, input=json.dumps(asdict(load)), stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 # ours
    answered = Answered(**json.loads(done.stdout))
    if not all(status.startswith("2") for status in answered.statuses):
        raise RuntimeError(f"{load.url} answered {dict(answered.statuses)}: {answered.refusal}")
    return answered


def _bodies(load: Load) -> Iterator[bytes]:
    run, number = time.time_ns(), 0
    while True:
        items = []
        for _one in range(load.many or 1):
            number += 1
            items.append(load.item.replace(SEQUENCE, f"{run}-{number}"))
        yield (f'{{"{load.name}": [{", ".join(items)}]}}' if load.many else items[0]).encode()


class Sender:
    """The connections, and what they were answered."""

    def __init__(self, load: Load) -> None:
        self.load, self.bodies = load, _bodies(load)
        self.multi, self.began = pycurl.CurlMulti(), dict[pycurl.Curl, float]()
        self.statuses, self.took = Counter[str](), list[float]()
        self.answers, self.refusal = dict[pycurl.Curl, bytes](), ""

    def run(self) -> Answered:
        """Keep every connection busy until the time is over, and let the last answers come."""
        began = time.perf_counter()
        ends = began + self.load.seconds
        for handle in [self._handle() for _connection in range(self.load.connections)]:
            self._begin(handle)
        while self.began:
            self.multi.perform()
            for handle in self._finished():
                if time.perf_counter() < ends:
                    self._begin(handle)
            self.multi.select(0.1)
        return self._answered(time.perf_counter() - began)

    def _handle(self) -> pycurl.Curl:
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, self.load.url)
        handle.setopt(pycurl.WRITEFUNCTION, partial(self._read, handle))
        handle.setopt(pycurl.HTTPHEADER, self._headers({}))
        return handle

    def _read(self, handle: pycurl.Curl, answer: bytes) -> None:
        self.answers[handle] = answer

    def _headers(self, more: Mapping[str, str]) -> list[str]:
        told = {"Content-Type": "application/json", **self.load.headers, **more}
        return [f"{name}: {value}" for name, value in told.items()]

    def _begin(self, handle: pycurl.Curl) -> None:
        body = next(self.bodies)
        handle.setopt(pycurl.POSTFIELDS, body)
        if self.load.secret:
            handle.setopt(pycurl.HTTPHEADER, self._headers(_signed(self.load.secret, body)))
        self.began[handle] = time.perf_counter()
        self.multi.add_handle(handle)

    def _finished(self) -> list[pycurl.Curl]:
        _left, done, failed = self.multi.info_read()
        for handle in done:
            self.multi.remove_handle(handle)
            self.took.append(time.perf_counter() - self.began.pop(handle))
            status = handle.getinfo(pycurl.RESPONSE_CODE)
            self.statuses[str(status)] += 1
            if status >= 300:
                self.refusal = self.refusal or self.answers[handle].decode()
        for handle, _number, why in failed:
            self.multi.remove_handle(handle)
            self.began.pop(handle)
            self.statuses[why] += 1
        return list(done)

    def _answered(self, seconds: float) -> Answered:
        cuts = statistics.quantiles(self.took, n=100) if len(self.took) > 1 else [0.0] * 99
        p50, p95, p99 = (round(cuts[at] * 1000, 1) for at in (49, 94, 98))
        return Answered(len(self.took) / seconds, len(self.took), p50, p95, p99, dict(self.statuses), self.refusal)


def _signed(secret: str, body: bytes) -> dict[str, str]:
    """Return the headers that sign a body (Standard Webhooks 1.0)."""
    key, at = f"msg_{time.time_ns()}", str(int(time.time()))
    signed = hmac.digest(
        base64.b64decode(secret.removeprefix("whsec_")), f"{key}.{at}.".encode() + body, hashlib.sha256
    )
    signature = f"v1,{base64.b64encode(signed).decode()}"
    return {"webhook-id": key, "webhook-timestamp": at, "webhook-signature": signature}


def main() -> None:
    """Read a load from standard input; print what came of it."""
    told: dict[str, Any] = json.load(sys.stdin)
    json.dump(asdict(Sender(Load(**told)).run()), sys.stdout)


if __name__ == "__main__":
    main()
