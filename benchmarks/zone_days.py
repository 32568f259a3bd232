"""R17: every time zone, every local day from 2024 to 2032: a daily slot comes once, an hourly one as often as hours pass.

    python -m benchmarks.zone_days

Prints how many zone-days were walked and how many slots were doubled or missing; ends with 1 where any was.
"""

import datetime as dt
import os
import sys
from collections import Counter
from itertools import takewhile
from zoneinfo import ZoneInfo, available_timezones

os.environ.setdefault("SECRET_KEY", "benchmark")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsconsole.settings")

from apps.jobs.slots import Schedule

FIRST, LAST = dt.date(2024, 1, 1), dt.date(2033, 1, 1)
DAY, HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)
DAILY = ("30 2 * * *", "0 0 * * *", "15 1 * * *")
"""Times that clocks skip and repeat."""


def main() -> int:
    """Walk all zones; return the exit code."""
    days = doubled = missing = 0
    for name in sorted(available_timezones() - {"localtime", "Factory"}):
        for cron in DAILY:
            came = Counter(slot.date() for slot in _slots(cron, ZoneInfo(name)))
            days += len(came)
            doubled += sum(count - 1 for count in came.values())
            missing += sum(day not in came for day in _days())
        hours = _slots("0 * * * *", ZoneInfo(name))
        doubled += len(hours) - len({slot.astimezone(dt.UTC) for slot in hours})
    print(f"{days:,} zone-days, {doubled} doubled, {missing} missing")  # noqa: T201 # its answer
    return 1 if doubled or missing else 0


def _slots(cron: str, zone: ZoneInfo) -> list[dt.datetime]:
    begin, end = (dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC) for day in (FIRST, LAST))
    found = takewhile(lambda slot: slot < end, Schedule(cron, None, zone.key).after(begin - dt.timedelta(seconds=1)))
    return [slot.astimezone(zone) for slot in found]


def _days() -> list[dt.date]:
    return [FIRST + n * DAY for n in range((LAST - FIRST).days)]


if __name__ == "__main__":
    sys.exit(main())
