"""The product as it is shipped: its worker, ticker and beat as processes of their own, on the ground's servers."""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from benchmarks.ground import AS_SHIPPED, ROOT, execute
from opsconsole import processes
from opsconsole.processes import Program

PATIENCE_SECONDS = 300
WIDE = {
    "rate_per_second": 1e6,
    "burst": 1_000_000,
    "allowed_networks": ["127.0.0.0/8"],
    "options": {"honours_key": True},
}
EMPTIED = "operations_attempt, actions_actionitem, operations_pendingoperation, operations_tally, operations_flow, jobs_logline"


def open_wide(target: str, in_flight: int) -> None:
    """Let the service `erp` take so many calls at once, as fast as they come."""
    from apps.integrations.models import Service

    Service.objects.filter(slug="erp").update(base_url=target, max_in_flight=in_flight, **WIDE)


class Shipped:
    """Workers with the arguments of `manage.py up`, started for each round and stopped behind it; as many take from the queue."""

    def __init__(self, workers: int = 2) -> None:
        self.workers = workers

    def __enter__(self) -> Self:
        self.logs = tempfile.TemporaryDirectory()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.logs.cleanup()

    def rate(self, target: str, payload: dict[str, Any], count: int, in_flight: int) -> float:
        """Let the workers deliver so many operations; return how many a second, from the first outcome to the last."""
        self._hand_in(target, payload, count, in_flight)
        programs = [
            self._program("ticker", "worker", "--queues", "ticks", "--concurrency", "1", "--hostname", "ticker@%h"),
            self._program("drains", "worker", "--queues", "drains", "--concurrency", str(self.workers)),
            self._program("beat", "beat", "--pidfile="),
        ]
        started = [(processes.start(program), program) for program in programs]
        try:
            self._wait()
        finally:
            for process, program in started:
                processes.stop(process, program)
        return self._rate()

    def _hand_in(self, target: str, payload: dict[str, Any], count: int, in_flight: int) -> None:
        from apps.integrations.models import Service
        from apps.jobs.models import Queue
        from apps.operations.models import PendingOperation

        execute(f"TRUNCATE {EMPTIED} CASCADE")
        open_wide(target, in_flight)
        Queue.objects.filter(slug="books").update(concurrency=self.workers)
        service, queue = Service.objects.get(slug="erp"), Queue.objects.get(slug="books")
        PendingOperation.objects.bulk_create(
            [
                PendingOperation(service=service, queue=queue, operation_type="http.post", payload=payload | {"n": n})
                for n in range(count)
            ],
            batch_size=2_000,
        )
        execute("VACUUM ANALYZE operations_pendingoperation")

    def _program(self, name: str, *words: str) -> Program:
        quiet = ("--without-mingle", "--without-gossip") if words[0] == "worker" else ()
        return Program(
            name=name,
            argv=[sys.executable, "-m", "celery", "-A", "opsconsole", *words, *quiet, "--loglevel", "INFO"],
            env={**os.environ, **AS_SHIPPED},
            log=Path(self.logs.name, f"{name}.log"),
            cwd=ROOT,
            grace_seconds=30,
        )

    def _wait(self) -> None:
        from apps.operations.models import PendingOperation

        ends = time.monotonic() + PATIENCE_SECONDS
        while PendingOperation.objects.exclude(status="completed").exists():
            if time.monotonic() > ends:
                raise SystemExit(Path(self.logs.name, "drains.log").read_text()[-3000:])
            time.sleep(0.2)

    def _rate(self) -> float:
        from django.db.models import Count, Max, Min

        from apps.operations.models import PendingOperation

        told = PendingOperation.objects.aggregate(n=Count("pk"), first=Min("completed_at"), last=Max("completed_at"))
        return float(told["n"] / (told["last"] - told["first"]).total_seconds())
