import datetime as dt

import pytest
from django_celery_beat.models import PeriodicTask

from apps.jobs.ticker import Entry


@pytest.mark.parametrize(
    ("last", "due"), [(dt.timedelta(hours=1), True), (dt.timedelta(), False), (-dt.timedelta(hours=1), True)]
)
def test_a_tick_that_is_to_come_never_was(db: None, last: dt.timedelta, due: bool) -> None:
    row = PeriodicTask.objects.get(name="tick")
    row.last_run_at = dt.datetime.now(dt.UTC) + last
    assert Entry(row).is_due().is_due == due
