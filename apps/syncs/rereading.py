"""Rejected records, asked for again one by one, because a person wants it or the source did not answer."""

import time
from collections import Counter
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.actions import leases
from apps.actions.verbs import Invalid
from apps.deadletters.failing import take_back, wait_after
from apps.deadletters.failures import GIVEN_UP_AT_ONCE, FailureClass
from apps.integrations.masking import masked_text
from apps.integrations.outcome import Outcome, Read
from apps.integrations.routing import MappingFailed
from apps.syncs.calling import asked_once
from apps.syncs.catalogue import readings_of
from apps.syncs.models import RejectedRecord, Sync
from apps.syncs.storing import take_in, why

BATCH = 20
ATTEMPTS = 5


class Lost(Exception):
    """The lease lapsed and somebody else has the record: nothing of this try was written."""


def due() -> QuerySet[RejectedRecord]:
    """Return the records that may be asked for now."""
    return RejectedRecord.objects.filter(status=RejectedRecord.Status.PENDING, due_at__lte=Now())


def read_again(seconds: float) -> Counter[str]:
    """Ask for what is due until nothing is or the time is up; return how many ended how. Any number may run at once."""
    ends, score = time.monotonic() + seconds, Counter[str]()
    while time.monotonic() < ends and (
        taken := leases.take(RejectedRecord.claim, due().order_by("due_at", "id"), BATCH)
    ):
        syncs = Sync.objects.select_related("job", "tenant", "service").in_bulk({row.sync_id for row in taken})
        for row in taken:
            leases.renew(RejectedRecord, {row.token or 0})
            score[_ask(row, syncs[row.sync_id])] += 1
    return score


def _ask(row: RejectedRecord, sync: Sync) -> str:
    reading = readings_of(sync.service).get(row.entity)
    if reading is None:
        return _give_up(row, FailureClass.CONFIG, _("%s is no longer read from there.") % row.entity)
    outcome = asked_once(sync.service, partial(_steps, reading, row.code))
    if outcome.page is None:
        return _again(row, outcome)
    if not outcome.page.records:
        return _give_up(row, FailureClass.PERMANENT_DATA, _("It is no longer there. Archive it, or resolve it."))
    try:
        return _take_in(row, sync, outcome.page.records[0])
    except Lost:
        return "lost"
    except (MappingFailed, Invalid) as error:
        return _give_up(row, FailureClass.CONFIG, str(error))


def _steps(reading: Any, code: str, site: Any) -> Any:
    return reading.again(site, code)


def _take_in(row: RejectedRecord, sync: Sync, read: Read) -> str:
    with transaction.atomic():
        taken = take_in(sync, row.entity, [read])
        step = RejectedRecord.fail if taken.bad else RejectedRecord.apply
        values = why(taken.bad[0]) if taken.bad else {}
        if not leases.finish(step, {row.pk: values}, row.token or 0):
            raise Lost
    return "failed" if taken.bad else "applied"


def _again(row: RejectedRecord, outcome: Outcome) -> str:
    failure = outcome.failure_class or FailureClass.UNKNOWN
    if failure in GIVEN_UP_AT_ONCE or row.attempts + 1 >= ATTEMPTS:
        return _give_up(row, failure, outcome.message)
    wait = wait_after(row.attempts)
    told = {"failure_class": failure, "error_type": str(failure), "last_error": masked_text(outcome.message)[:4000]}
    leases.finish(RejectedRecord.give_back, {row.pk: {**told, "wait": wait}}, row.token or 0)
    return "given back"


def _give_up(row: RejectedRecord, failure: FailureClass, message: str) -> str:
    told = {"failure_class": failure, "error_type": str(failure), "last_error": masked_text(message)[:4000]}
    kept = {"error_fields": row.error_fields, "told": row.told, "digest": row.digest}
    leases.finish(RejectedRecord.fail, {row.pk: {**told, **kept}}, row.token or 0)
    return "failed"


def rescue_lapsed() -> int:
    """Take records back from workers that fell silent; return how many."""
    return take_back(RejectedRecord.objects.filter(status=RejectedRecord.Status.PROCESSING))
