"""Our Celery application with jobs that come round every second: for the fleet's processes, never for the tests' own."""

import django

from opsconsole.celery import app

django.setup()  # Celery does it after this module is read; the catalogue needs it now

from apps.jobs import catalogue  # noqa: E402 # behind the setup
from tests.chaos.rounds import KINDS  # noqa: E402 # behind the setup

__all__ = ["app"]

catalogue.JOBS = KINDS
catalogue.kinds.cache_clear()
