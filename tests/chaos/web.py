"""The web as it runs in production, and a system that calls it."""

import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests
from django.conf import settings

from apps.integrations.models import RateLimit
from opsconsole import processes
from opsconsole.development import GUNICORN
from opsconsole.processes import Program
from tests.chaos.fleet import wait_until
from tests.chaos.world import World


class Web:
    """gunicorn on a port of its own, and a caller with an API key."""

    def __init__(self, world: World, logs: Path, key: str, **env: str) -> None:
        self.url = f"http://127.0.0.1:{processes.free_port()}"
        self.headers = {"X-API-Key": key}
        # Two operators at once are faster here than people are.
        RateLimit.objects.update_or_create(name=RateLimit.Name.READS_AND_VERBS, defaults={"requests": 1_000_000})
        self.program = Program(
            name="web",
            argv=[
                *(sys.executable, "-m", "gunicorn", "opsconsole.wsgi", "--bind", self.url.removeprefix("http://")),
                *GUNICORN,
            ],
            env=world.env | env,
            log=logs / "web.log",
            cwd=settings.BASE_DIR,
        )
        self.process = processes.start(self.program)
        wait_until(self._answers, 60)

    def send(self, path: str, body: Any = None, key: str = "") -> requests.Response:
        """Post as JSON, with somebody else's key where one is given."""
        headers = {"X-API-Key": key} if key else self.headers
        with requests.Session() as session:
            session.trust_env = False
            return session.post(self.url + path, json=body, headers=headers, timeout=30)

    def post(self, path: str, body: Any = None) -> tuple[int, float]:
        """Return the status, and how many seconds the answer took."""
        began = time.perf_counter()
        status = self.send(path, body).status_code
        return status, time.perf_counter() - began

    def post_many(self, path: str, bodies: list[Any]) -> list[tuple[int, float]]:
        """Post from four threads at once."""
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda body: self.post(path, body), bodies))

    def kill(self) -> None:
        """kill -9 of all its processes, and new ones in their place."""
        processes.end(self.process)
        self.process = processes.start(self.program)

    def close(self) -> None:
        processes.end(self.process)

    def _answers(self) -> bool:
        with requests.Session() as session:
            session.trust_env = False
            try:
                return session.get(f"{self.url}/health/live", timeout=5).ok
            except requests.RequestException:  # it is not up yet, or slow to come up
                return False


def p95_ms(answers: list[tuple[int, float]]) -> int:
    return round(statistics.quantiles([seconds for _status, seconds in answers], n=20)[-1] * 1000)
