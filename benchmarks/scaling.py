"""One backlog drained by one, two, four and eight worker processes, each with connections of its own.

Against a far end that answers at once the processor binds, and more processes than cores add nothing; against one that takes
50 ms a single process keeps hundreds of calls in flight. What an operation costs is told by `benchmarks.footprint`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from benchmarks import far_end
from benchmarks.frame import Path, main
from benchmarks.ground import ground
from benchmarks.shipped import Shipped

WORKERS, QUICK_WORKERS = (1, 2, 4, 8), (1, 4)
IN_FLIGHT, SLOW_SECONDS = 512, 0.05
PAYLOAD = {"title": "Order 4711", "note": "x" * 80}


@contextmanager
def path(quick: bool) -> Iterator[Path]:
    """Run the two far ends; give the path."""
    count, workers = (2_000, QUICK_WORKERS) if quick else (15_000, WORKERS)
    with ground(), far_end.running() as fast, far_end.slow(SLOW_SECONDS) as slow:
        yield _path({"at once": fast, "after 50 ms": slow}, workers, count)


def _path(ends: dict[str, str], workers: Sequence[int], count: int) -> Path:
    contenders = {
        f"{number} worker{'s' * (number > 1)}, far end answers {how}": partial(_rate, target, number, count)
        for how, target in ends.items()
        for number in workers
    }
    return Path("scaling", "Scaling out: one backlog, two cores", "operations/s", contenders)


def _rate(target: str, workers: int, count: int) -> float:
    with Shipped(workers) as shipped:
        return shipped.rate(target, PAYLOAD, count, IN_FLIGHT)


if __name__ == "__main__":
    main(path, __doc__)
