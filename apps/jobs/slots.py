"""When a schedule comes round: its slots, as moments, through every change of the clocks."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from django.utils.translation import gettext as _

DAY, MINUTE = dt.timedelta(days=1), dt.timedelta(minutes=1)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class BadSchedule(ValueError):
    """A schedule that cannot be read; `field` says which part of it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Schedule:
    """A cron line in a time zone, or an interval in seconds, or neither: then it never comes round by itself."""

    cron: str
    every_seconds: int | None
    zone: str

    def __bool__(self) -> bool:
        return bool(self.cron or self.every_seconds)

    def check(self) -> None:
        """Raise `BadSchedule` where it cannot be read or never comes round."""
        if self.zone not in _zones():
            raise BadSchedule("zone", _("There is no time zone %(zone)s.") % {"zone": self.zone})
        try:
            next(self.after(dt.datetime(2026, 1, 1, tzinfo=dt.UTC)), None)
        except (CronSimError, StopIteration) as error:
            raise BadSchedule(
                "cron", _("This is no schedule: %(why)s. `0 3 * * *` is every day at 3:00.") % {"why": error}
            ) from error

    def after(self, moment: dt.datetime) -> Iterator[dt.datetime]:
        """Yield the slots after a moment, in order, in UTC; none where it has no schedule."""
        if self.every_seconds:
            yield from _intervals(self.every_seconds, moment)
        elif self.cron:
            yield from _local(self.cron, ZoneInfo(self.zone), moment)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _intervals(every: int, moment: dt.datetime) -> Iterator[dt.datetime]:
    """Count from a fixed moment, so that two that count come to the same slots; local clocks do not matter."""
    passed = int((moment - EPOCH).total_seconds() // every)
    while True:
        passed += 1
        yield EPOCH + dt.timedelta(seconds=passed * every)


def _local(cron: str, zone: ZoneInfo, moment: dt.datetime) -> Iterator[dt.datetime]:
    """Go day by local day, from the day before: what the clocks skipped may be made up after `moment`."""
    hourly = cron.split()[1].startswith("*")
    walls = CronSim(cron, moment.astimezone(zone).replace(tzinfo=None) - DAY)
    last = moment
    for _day, same in groupby(walls, key=lambda wall: wall.date()):
        for slot in sorted({slot for wall in same for slot in _instants(wall, zone, hourly)}):
            if slot > last:
                last = slot
                yield slot


def _instants(wall: dt.datetime, zone: ZoneInfo, hourly: bool) -> list[dt.datetime]:
    """Return when a local time is: of one that comes twice the first, of one that is skipped the first moment after it.

    What comes every hour, or every so many, follows the hours that pass: twice where they come twice, never where not.
    """
    slots = [wall.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1)]
    there = [slot for slot in slots if slot.astimezone(zone).replace(tzinfo=None) == wall]
    if hourly:
        return there
    return there[:1] or _instants(wall + MINUTE, zone, hourly)
