"""Systems that hand work in without a pause, and remember what they were told."""

import itertools
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import requests

from tests.chaos.web import Web

PATH = "/api/pending-operations"


@dataclass
class Callers:
    """So many threads post one operation after another, until the block ends. Each `n` is told once."""

    web: Web
    threads: int = 4
    acknowledged: list[str] = field(default_factory=list)
    """The ids of those that were answered with a 2xx."""
    answers: Counter[int] = field(default_factory=Counter)
    """How often each status came; 0 stands for no answer at all."""
    without_retry_after: int = 0
    slowest_seconds: float = 0

    def __enter__(self) -> Self:
        self._stop, self._numbers, self._lock = threading.Event(), itertools.count(), threading.Lock()
        self._running = [threading.Thread(target=self._post_on) for _thread in range(self.threads)]
        for thread in self._running:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._running:
            thread.join(60)

    def _post_on(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                n = next(self._numbers)
            self._post({"service": "erp", "queue": "crm", "operation_type": "http.post", "payload": {"n": n}})

    def _post(self, body: Any) -> None:
        began = time.monotonic()
        try:
            answer = self.web.send(PATH, body)
        except requests.RequestException:
            answer = None
        with self._lock:
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
            self._note(answer)
        if answer is None or not answer.ok:
            time.sleep(0.05)

    def _note(self, answer: requests.Response | None) -> None:
        self.answers[answer.status_code if answer is not None else 0] += 1
        if answer is None:
            return
        if answer.ok:
            self.acknowledged.append(answer.json()["id"])
        elif "Retry-After" not in answer.headers:
            self.without_retry_after += 1
