"""What beat ticks by: the scheduler of django-celery-beat, which no clock that was wrong once can keep silent.

It keeps the last tick as the host's clock showed it. One that was an hour ahead would leave a moment to come there, and every
beat would wait for it, after a restart and on other hosts, too.
"""

import datetime as dt
from typing import Any

from django.utils import timezone
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry


class Entry(ModelEntry):  # type: ignore[misc] # django_celery_beat has no types
    """A row of the schedule; a last tick that is to come never was."""

    last_run_at: dt.datetime

    def is_due(self) -> Any:
        """Say whether it is due, and when to look again."""
        last = self.last_run_at
        now = dt.datetime.now(dt.UTC) if timezone.is_aware(last) else dt.datetime.now()  # noqa: DTZ005 # as beat keeps it
        if last > now:
            self.last_run_at = now - dt.timedelta(days=1)
        return super().is_due()


class Scheduler(DatabaseScheduler):  # type: ignore[misc] # django_celery_beat has no types
    """The rows of the schedule, as beat reads them."""

    Entry = Entry
