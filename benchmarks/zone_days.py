"""R17: every time zone, every local day from 2024 to 2032: a daily slot comes once, an hourly one as often as hours pass.

    python -m benchmarks.zone_days

Prints how many zone-days were walked and how many slots were doubled or missing; ends with 1 where any was.
"""

import datetime as dt
import os
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo, available_timezones

os.environ.setdefault("SECRET_KEY", "benchmark")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsconsole.settings")

from apps.jobs.slots import Schedule

FIRST, LAST = dt.date(2024, 1, 1), dt.date(2033, 1, 1)
DAY = dt.timedelta(days=1)
DAILY = ("30 2 * * *", "0 0 * * *", "15 1 * * *")
"""Times that clocks skip and repeat."""
HOURLY = "0 * * * *"


def main() -> int:
    """Walk all zones: nine years at half past two, and every schedule around each change of the clocks."""
    score: Counter[str] = Counter()
    for name in sorted(available_timezones() - {"localtime", "Factory"}):
        zone = ZoneInfo(name)
        _walk(score, DAILY[0], zone, FIRST, LAST)
        for day in _changes(zone):
            for cron in DAILY:
                _walk(score, cron, zone, day - 2 * DAY, day + 3 * DAY)
            hours = _slots(HOURLY, zone, day - 2 * DAY, day + 3 * DAY)
            score["doubled"] += len(hours) - len({slot.astimezone(dt.UTC) for slot in hours})
            score["changes"] += 1
    words = "{days:,} zone-days, {changes:,} changes of the clocks, {doubled} doubled, {missing} missing"
    print(words.format(**{name: score[name] for name in ("days", "changes", "doubled", "missing")}))  # noqa: T201 # its answer
    return 1 if score["doubled"] or score["missing"] else 0


def _walk(score: "Counter[str]", cron: str, zone: ZoneInfo, first: dt.date, last: dt.date) -> None:
    came = Counter(slot.date() for slot in _slots(cron, zone, first, last))
    score["days"] += len(came)
    score["doubled"] += sum(count - 1 for count in came.values())
    score["missing"] += sum(first + n * DAY not in came for n in range((last - first).days))


def _changes(zone: ZoneInfo) -> Iterator[dt.date]:
    """Yield the days on which the clocks of a zone change."""
    noons = (dt.datetime.combine(FIRST + n * DAY, dt.time(12), zone) for n in range((LAST - FIRST).days))
    for before, after in pairwise(noons):
        if before.utcoffset() != after.utcoffset():
            yield after.date()


def _slots(cron: str, zone: ZoneInfo, first: dt.date, last: dt.date) -> list[dt.datetime]:
    begin, end = (dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC) for day in (first, last))
    found = takewhile(lambda slot: slot < end, Schedule(cron, None, zone.key).after(begin - dt.timedelta(seconds=1)))
    return [slot.astimezone(zone) for slot in found]


if __name__ == "__main__":
    sys.exit(main())
