"""gunicorn's worker with threads, as one of several that share a socket."""

import time
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped] # has no types

EACH_SECONDS, AT_MOST_SECONDS = 0.00002, 0.001
"""So long a worker waits before it takes a connection, for each that it holds, and in all."""


class EvenWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """Takes its share of the connections, and leaves the others theirs.

    A new connection goes to the worker that wakes first, and one that is at work already is awake: of many that come at
    once it takes all, and answers alone for as long as they are kept. So, who holds more waits longer.
    """

    def accept(self, listener: Any) -> None:
        """Take a connection, unless another worker was sooner."""
        time.sleep(min(self.nr_conns * EACH_SECONDS, AT_MOST_SECONDS))
        super().accept(listener)
