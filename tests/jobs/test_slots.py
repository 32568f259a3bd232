import datetime as dt
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo, available_timezones

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.jobs.models import Job
from apps.jobs.slots import Schedule

TWENTY = dt.timedelta(minutes=20)
HALF_HOURS = {"Australia/Lord_Howe", "Australia/LHI"}
"""Their clocks change by half an hour: what comes every twenty minutes of the clock does not stay so."""
ZONES = sorted(available_timezones() - {"localtime", "Factory"})
FIRST, LAST = dt.datetime(2024, 1, 1), dt.datetime(2032, 12, 1)  # noqa: DTZ001 # local, in whatever zone


def slots(cron: str, zone: str, *day: int, count: int = 3) -> list[str]:
    after = dt.datetime.combine(dt.date(*day), dt.time(), ZoneInfo(zone))
    found = islice(Schedule(cron, None, zone).after(after), count)
    return [slot.astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z") for slot in found]


def of_a_month(cron: str, zone: str, start: dt.datetime) -> list[dt.datetime]:
    """Return the slots of 31 local days, in local time."""
    begin = start.replace(tzinfo=ZoneInfo(zone))
    end = (start + dt.timedelta(days=31)).replace(tzinfo=ZoneInfo(zone))
    found = takewhile(lambda slot: slot < end, Schedule(cron, None, zone).after(begin - dt.timedelta(seconds=1)))
    return [slot.astimezone(ZoneInfo(zone)) for slot in found]


def test_a_time_that_the_clocks_skip_is_made_up_at_the_first_moment_after_it() -> None:
    assert slots("30 2 * * *", "America/New_York", 2026, 3, 7) == ["07 02:30-0500", "08 03:00-0400", "09 02:30-0400"]


def test_a_time_that_comes_twice_counts_once() -> None:
    assert slots("30 1 * * *", "America/New_York", 2026, 10, 31) == ["31 01:30-0400", "01 01:30-0400", "02 01:30-0500"]


def test_a_change_of_half_an_hour_is_one_too() -> None:
    assert slots("15 2 * * *", "Australia/Lord_Howe", 2026, 10, 3) == [
        "03 02:15+1030",
        "04 02:30+1100",
        "05 02:15+1100",
    ]


def test_every_hour_is_every_hour_that_passes() -> None:
    spring, autumn = dt.datetime(2026, 3, 8), dt.datetime(2026, 11, 1)  # noqa: DTZ001 # local
    for day, hours in ((spring, 23), (autumn, 25)):
        found = of_a_month("0 * * * *", "America/New_York", day)
        assert len([slot for slot in found if slot.date() == day.date()]) == hours


def test_the_first_sunday_of_each_month_is_a_schedule() -> None:
    assert slots("0 4 * * SUN#1", "America/Sao_Paulo", 2026, 11, 2, count=2) == ["06 04:00-0300", "03 04:00-0300"]


def test_intervals_do_not_depend_on_who_counts() -> None:
    every = Schedule("", 420, "UTC")
    one = next(every.after(dt.datetime(2026, 1, 1, 0, 0, 1, tzinfo=dt.UTC)))
    other = next(every.after(dt.datetime(2026, 1, 1, 0, 0, 59, tzinfo=dt.UTC)))
    assert one == other


@settings(deadline=None)
@given(st.sampled_from(ZONES), st.datetimes(FIRST, LAST), st.integers(0, 23), st.integers(0, 59))
def test_a_daily_slot_comes_once_on_each_local_day(zone: str, start: dt.datetime, hour: int, minute: int) -> None:
    day = start.replace(hour=0, minute=0, second=0, microsecond=0)
    found = of_a_month(f"{minute} {hour} * * *", zone, day)
    dates = [slot.date() for slot in found]
    assert dates == [(day + dt.timedelta(days=number)).date() for number in range(31)]


@settings(deadline=None)
@given(st.sampled_from(sorted({*ZONES} - HALF_HOURS)), st.datetimes(FIRST, LAST))
def test_slots_only_go_forward(zone: str, start: dt.datetime) -> None:
    found = of_a_month("*/20 * * * *", zone, start.replace(second=0, microsecond=0))
    odd = [(str(a), str(b)) for a, b in pairwise(found) if b.astimezone(dt.UTC) - a.astimezone(dt.UTC) != TWENTY]
    assert odd == []


@pytest.mark.parametrize("cron", ["61 * * * *", "0 3 * *", "every day", "0 3 30 2 *", "* * * * * * *"])
def test_a_schedule_that_cannot_be_read_is_refused_in_a_sentence(cron: str) -> None:
    with pytest.raises(ValidationError, match="every day at 3:00"):
        Job(slug="tidy", name="Tidy", cron=cron).full_clean(validate_unique=False, validate_constraints=False)


def test_a_zone_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="There is no time zone Mars/Olympus"):
        Job(slug="tidy", name="Tidy", cron="0 3 * * *", zone="Mars/Olympus").clean()


def test_a_job_has_a_schedule_or_an_interval() -> None:
    with pytest.raises(ValidationError, match="not both"):
        Job(slug="tidy", name="Tidy", cron="0 3 * * *", every_seconds=60).clean()
