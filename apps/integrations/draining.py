"""How long what waits for a service will take to go out, said before anybody lets it go."""

import math
from dataclasses import dataclass

from apps.integrations.models import Service
from apps.integrations.models.service import RAMP
from apps.integrations.traffic import Calls

CLIMB = RAMP.total_seconds()
LEAST = 0.1
"""The pace after a breaker closed begins with this share of the whole (apps/integrations/limits.py)."""


@dataclass(frozen=True)
class Outlook:
    """In how many seconds so many rows will be out, and what sets the pace: the limit, or how fast it answers."""

    waiting: int
    seconds: float
    per_second: float
    by_limit: bool


def outlook(service: Service, waiting: int, lately: Calls, climbed_seconds: float = 0) -> Outlook:
    """Say when what waits would be out, if calls went out from now on.

    A service takes no more than its rate, and answers no more than its calls at once allow at the pace of its recent
    answers. `climbed_seconds` is for how long its breaker has been closed: the pace climbs from a tenth to the whole.
    """
    answers = service.max_in_flight / lately.mean_seconds if lately.mean_seconds else math.inf
    pace = min(service.rate_per_second, answers)
    return Outlook(waiting, seconds_for(waiting, pace, climbed_seconds), pace, service.rate_per_second <= answers)


def seconds_for(count: int, pace: float, climbed_seconds: float = 0) -> float:
    """Return how long so many calls take at a pace that climbs to the whole within a minute."""
    return _when(_sent(climbed_seconds) + count / pace) - climbed_seconds


def _sent(seconds: float) -> float:
    """Return how many calls go out in the first seconds at a whole pace of one a second."""
    flat = LEAST * CLIMB
    if seconds <= flat:
        return LEAST * seconds
    climbing = min(seconds, CLIMB)
    return LEAST * flat + (climbing**2 - flat**2) / (2 * CLIMB) + max(seconds - CLIMB, 0)


def _when(sent: float) -> float:
    """Return after how many seconds so many calls are out: `_sent`, the other way round."""
    flat = LEAST * CLIMB
    if sent <= _sent(flat):
        return sent / LEAST
    if sent <= _sent(CLIMB):
        return math.sqrt((sent - _sent(flat)) * 2 * CLIMB + flat**2)
    return CLIMB + sent - _sent(CLIMB)
