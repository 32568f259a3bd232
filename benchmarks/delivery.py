"""Operations delivered a second: ours whole, as shipped, beside its peers and the bare loop: `python -m benchmarks.delivery`."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import bare, far_end, frame, peers
from benchmarks.frame import Path, Target
from benchmarks.ground import conninfo, ground
from benchmarks.shipped import Shipped

PAYLOAD = {"deal": 4711, "title": "A heat pump for the house at the lake", "value": 18900, "stage": "won"}
OURS, BARE = "opsconsole, whole", "the limit: libcurl, claim and finish in batches"
IN_FLIGHT, BARE_IN_FLIGHT = 1024, 256
"""Calls at once: each is at its best with so many. Ours are those of both drains together."""


@contextmanager
def path(quick: bool) -> Iterator[Path]:
    """Everybody delivers the same hundred bytes to the same nginx, on the same servers."""
    with ground(durable=True), far_end.running() as target, Shipped() as shipped:
        count = 20_000 if quick else 60_000
        ours = {
            OURS: lambda: shipped.rate(target, PAYLOAD, count, in_flight=IN_FLIGHT),
            BARE: lambda: bare.rate(conninfo(), target, json.dumps(PAYLOAD), 2 * count, BARE_IN_FLIGHT),
        }
        others = peers.contenders(conninfo(), os.environ["REDIS_URL"], target, PAYLOAD, 500 if quick else 4_000)
        yield Path(
            "delivery",
            "Delivery: claim an operation, POST 100 bytes to nginx, record the outcome; two cores for all of it",
            "operations/s",
            ours | others,
            [
                Target("ours ÷ the bare loop", OURS, BARE, 0.35, 0.7),
                Target("ours ÷ the best peer", OURS, list(others), 3, 7),
            ],
            notes=peers.notes(),
        )


if __name__ == "__main__":
    frame.main(path, __doc__)
