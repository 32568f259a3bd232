"""Hundreds of slow calls in flight: a far end that answers after 200 ms, 512 at once: `python -m benchmarks.slow_end`."""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import bare, far_end, frame
from benchmarks.delivery import PAYLOAD
from benchmarks.frame import Path, Target
from benchmarks.ground import ground
from benchmarks.shipped import Shipped

SECONDS, IN_FLIGHT = 0.2, 512
OURS, IDEAL = "opsconsole, whole", "as many calls from bare libcurl, with no database"


@contextmanager
def path(quick: bool) -> Iterator[Path]:
    """The workers deliver to a service that takes 512 calls at once."""

    with ground(durable=True), far_end.slow(SECONDS) as target, Shipped() as shipped:
        count = 8_000 if quick else 25_000
        yield Path(
            "slow_end",
            f"Delivery to a far end that takes {SECONDS * 1000:.0f} ms, {IN_FLIGHT} calls in flight",
            "operations/s",
            {
                OURS: lambda: shipped.rate(target, PAYLOAD, count, in_flight=IN_FLIGHT),
                IDEAL: lambda: bare.ideal(target, IN_FLIGHT, 2 if quick else 5),
            },
            [Target(f"ours ÷ {IN_FLIGHT} ÷ {SECONDS} s", OURS, IN_FLIGHT / SECONDS, 0.8, 0.95)],
        )


if __name__ == "__main__":
    frame.main(path, __doc__)
