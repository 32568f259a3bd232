"""How many calls went to a service of late, and how they ended, as the apps above that make them tell it."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from django.utils.module_loading import import_string

from apps.jobs.catalogue import CALLS

Span = tuple[dt.datetime, dt.datetime]
"""From a moment on, up to another."""


@dataclass(frozen=True)
class Calls:
    """Calls in a span of time: how many, how many failed by the service's fault, and how long they took in all."""

    made: int = 0
    failed: int = 0
    milliseconds: int = 0

    def __add__(self, other: "Calls") -> "Calls":
        return Calls(self.made + other.made, self.failed + other.failed, self.milliseconds + other.milliseconds)

    @property
    def failed_share(self) -> float | None:
        """The share that failed, in percent; of no calls there is none."""
        return 100 * self.failed / self.made if self.made else None

    @property
    def mean_seconds(self) -> float | None:
        """How long a call took."""
        return self.milliseconds / self.made / 1000 if self.made else None


class Counting(Protocol):
    """What each app of the catalogue offers."""

    def __call__(self, service_id: UUID, spans: Sequence[Span]) -> list[Calls]:
        """Count the calls to a service in each span, in one query."""


def calls_in(service_id: UUID, spans: Sequence[Span]) -> list[Calls]:
    """Return the calls that went to a service in each span."""
    found = [Calls()] * len(spans)
    for path in CALLS:
        count: Counting = import_string(path)
        found = [known + more for known, more in zip(found, count(service_id, spans), strict=True)]
    return found
