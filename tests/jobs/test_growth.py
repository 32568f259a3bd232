import pytest

from apps.jobs import growth
from apps.jobs.growth import GIGABYTE, Growth, Size
from apps.jobs.models import StorageBudget, TableSize
from tests.jobs.aged import ago

pytestmark = pytest.mark.django_db


def measured(days_ago: int, rows: int, size: int, table: str = "jobs_queue") -> None:
    TableSize.objects.create(table=table, day=ago(days_ago).date(), rows=rows, bytes=size)


def test_a_day_is_measured_once() -> None:
    growth.measure()
    growth.measure()
    tables = set(TableSize.objects.values_list("table", flat=True))
    assert tables == {*growth.tables(), growth.WHOLE}
    assert TableSize.objects.count() == len(tables)


def test_growth_is_what_a_table_gained_a_day() -> None:
    measured(4, 100, 1000)
    measured(2, 150, 900)
    measured(0, 500, 5000)
    assert growth.growth() == {"jobs_queue": Growth(100, 1000)}


def test_growth_is_unknown_after_one_day() -> None:
    measured(0, 100, 1000)
    assert growth.growth() == {}


@pytest.mark.parametrize(
    ("now", "gains", "days"),
    [
        (9 * GIGABYTE, Growth(0, GIGABYTE / 2), 2),
        (9 * GIGABYTE, Growth(0, -1), None),
        (9 * GIGABYTE, None, None),
        (11 * GIGABYTE, None, 0),
    ],
)
def test_the_budget_counts_down(now: int, gains: Growth | None, days: float | None) -> None:
    StorageBudget.objects.create(gigabytes=10)
    assert growth.days_until_full(Size(0, now), gains) == days


def test_sizes_are_of_whole_tables_with_their_parts() -> None:
    found = growth.sizes(["jobs_queue", "no_such_table"])
    assert found.keys() == {"jobs_queue", growth.WHOLE}
    assert found["jobs_queue"].bytes > 0
