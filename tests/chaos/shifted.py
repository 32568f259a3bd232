"""Our Celery application on a host whose clock is off by CLOCK_OFF_BY seconds: for all that Python asks of it."""

import datetime as dt
import os

import time_machine

off_by = dt.timedelta(seconds=float(os.environ["CLOCK_OFF_BY"]))
time_machine.travel(dt.datetime.now(dt.UTC) + off_by, tick=True).start()

from opsconsole.celery import app  # noqa: E402 # begins with the clock off

__all__ = ["app"]
