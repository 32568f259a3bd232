"""How much waits in queues and for services, as the apps above that keep the work tell it."""

import datetime as dt
from collections.abc import Mapping
from typing import Literal
from uuid import UUID

from django.utils.module_loading import import_string

from apps.jobs.catalogue import BACKLOGS

Backlog = tuple[int, dt.datetime | None]
"""How many rows wait, and when the oldest of them fell due."""


def backlogs(lane: Literal["queue", "service"]) -> dict[UUID, Backlog]:
    """Return what waits in each queue, or for each service, of every kind of work."""
    found: dict[UUID, Backlog] = {}
    for path in BACKLOGS:
        told: Mapping[UUID, Backlog] = import_string(path)(lane)
        for key, (count, since) in told.items():
            known, before = found.get(key, (0, None))
            found[key] = (known + count, min(filter(None, (before, since)), default=None))
    return found
