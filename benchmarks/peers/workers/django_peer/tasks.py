"""One task an operation."""

from functools import cache
from typing import Any

import requests
import work
from django.db.models import Func
from django_tasks import task

from django_peer.models import Outcome

CLOCK = Func(function="clock_timestamp")


@task
def deliver(operation: int, payload: dict[str, Any]) -> None:
    """Call the far end and write down what it said."""
    code = work.post(_session(), payload)
    Outcome.objects.filter(pk=operation).update(status="completed", status_code=code, completed_at=CLOCK)


@cache
def _session() -> requests.Session:
    return work.session()
