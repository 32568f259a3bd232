"""How fast bulk verbs move rows, and what somebody else waits meanwhile: `python -m benchmarks.bulk_verbs 100000`."""

import argparse
import statistics
import threading
import time
from typing import Any

from benchmarks.ground import execute, ground, load, say, settle_down, timed


def main() -> None:
    """Measure preview, retry and score over operations and over dead letters."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("failed", type=int, nargs="?", default=100_000, help="failed operations to retry")
    parser.add_argument("--beside", type=int, default=200_000, help="completed and pending operations beside them")
    parser.add_argument("--once", action="store_true", help="all failed operations alone, nothing after them")
    asked = parser.parse_args()
    with ground():
        load("completed", asked.beside // 2)
        load("pending", asked.beside // 2)
        load("failed", asked.failed)
        settle_down()
        _measure("operations, status = failed", {"status": "failed"}, asked.failed)
        if asked.once:
            return
        _again()
        _measure("operations, status = failed, service = piperun", {"status": "failed", "service": "piperun"})
        _again()
        _measure("operations, all that are live", {})
        _again()
        _measure("dead letters, all", {"status": "unresolved"}, asked.failed, letters=True)


def _measure(what: str, filters: dict[str, str], rows: int = 0, letters: bool = False) -> None:
    from apps.actions import pacing, running
    from apps.actions.actors import SYSTEM
    from apps.actions.selections import Selection
    from apps.deadletters.models import DeadLetter
    from apps.operations.models import PendingOperation

    model: Any = DeadLetter if letters else PendingOperation
    selection = Selection.matching(model, filters)
    say("")
    with timed(f"{what}: preview"):
        foreseen = running.preview(model.retry, selection, SYSTEM)
    with timed(f"{what}: ask"):
        record = running.run(model.retry, selection, SYSTEM)
    with (
        Bystander() as bystander,
        timed(f"{what}: {foreseen.moving:,} of {foreseen.total:,} move", rows or record.total),
    ):
        for _progress in pacing.drive(record):
            pass
    bystander.say()
    execute("ANALYZE")
    with timed(f"{what}: score, nothing settled"):
        pacing.score(record)
    PendingOperation.objects.filter(status="pending", failure_class="transient").update(status="completed")
    with timed(f"{what}: score, all settled"):
        pacing.score(record)


def _again() -> None:
    """Put everything back to failed, as if it had failed again."""
    execute("UPDATE operations_pendingoperation SET status = 'failed' WHERE failure_class = 'transient'")
    execute("UPDATE deadletters_deadletter SET status = 'unresolved'")
    execute("UPDATE actions_actionrun SET status = 'finished'")
    settle_down()


class Bystander:
    """Somebody else, who updates single rows all the while and notes how long each took."""

    def __enter__(self) -> "Bystander":
        self.waits: list[float] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._work)
        self.thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.over.set()
        self.thread.join()

    def _work(self) -> None:
        from django.db import connection

        from apps.operations.models import PendingOperation

        keys = list(PendingOperation.objects.filter(status="failed").order_by("?").values_list("pk", flat=True)[:2000])
        while not self.over.wait(0.003) and keys:
            began = time.perf_counter()
            PendingOperation.objects.filter(pk=keys.pop()).update(source="elsewhere")
            self.waits.append((time.perf_counter() - began) * 1000)
        connection.close()

    def say(self) -> None:
        """Print what waiting there was."""
        if len(self.waits) > 20:
            cuts = statistics.quantiles(self.waits, n=100)
            say("  somebody else, p50 / p99 / max ms", f"{cuts[49]:.1f}", f"{cuts[98]:.1f}", f"{max(self.waits):.1f}")


if __name__ == "__main__":
    main()
