"""Makes the demo company once: a living day, four kinds of trouble, one queue on hold."""

import datetime as dt
from random import Random
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from apps.actions.running import database_now
from apps.integrations.models import Service
from opsconsole.demo import company, endpoints, events, failures, history, syncs

OPERATIONS = 5000
HOUR = dt.timedelta(hours=1)


def stands() -> bool:
    """Whether the console works for somebody already, be it the demo company or a real one."""
    return Service.objects.exists()


def seed(operations: int = OPERATIONS) -> None:
    """Make the company and its last day, whole or not at all."""
    random = Random(7)  # noqa: S311 # the same day on every machine
    with transaction.atomic():
        now = database_now()
        made = company.found()
        endpoints.make(made)
        token_lost_at, stage_lost_at = this_morning(now, 9, 41), this_morning(now, 7, 12)
        history.make_day(made, operations, now, token_lost_at, random)
        failures.mend_earlier(made, now - 19 * HOUR, random)
        failures.pause_statements(made, now - 3 * HOUR, random)
        # Behind the first deal without its stage: a canary meets that one first.
        failures.kill_workers(made, stage_lost_at + HOUR / 3, random)
        failures.leave_unanswered(made, now - 2 * HOUR, random)
        failures.refuse_stage(made, _refused_at(stage_lost_at, now, random), random)
        failures.rotate_token(made, token_lost_at, random)
        events.make_day(now, random)
        syncs.make_night(made, this_morning(now, 3, 0))
        company.slow_down()


def this_morning(now: dt.datetime, hour: int, minute: int) -> dt.datetime:
    """Return a time of today in the company's zone, or some hours ago where that is still to come."""
    local = now.astimezone(ZoneInfo(settings.OPS_TIME_ZONE))
    moment = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return moment if now - moment > HOUR else now - dt.timedelta(hours=12 - hour)


def _refused_at(since: dt.datetime, now: dt.datetime, random: Random) -> list[dt.datetime]:
    span = now - since - dt.timedelta(minutes=10)
    return [since, *sorted(since + random.random() * span for _more in range(failures.WITHOUT_STAGE - 1))]
