"""A day that has been: what reached the CRM really is in the simulator, what went elsewhere is written as rows."""

import datetime as dt
from collections.abc import Iterable, Sequence
from random import Random
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now

from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations import delivery
from apps.operations.models import Attempt, PendingOperation
from opsconsole.demo import far_end, wares
from opsconsole.demo.company import Company
from opsconsole.demo.past import Since, id_at
from opsconsole.demo.wares import Piece

DAY = dt.timedelta(hours=24)
BUSY = (4, 2, 1, 1, 1, 2, 6, 18, 48, 78, 96, 88, 52, 60, 92, 98, 86, 66, 40, 24, 16, 11, 8, 5)
"""How busy the company is in each hour of its day: two humps, and lunch between them."""
IN_THE_CRM, INVOICES = 0.12, 0.15
"""Shares of the day's operations; the rest are messages to customers."""
SHAKY = 4
"""So many answers were lost after the effect, and so many calls were answered 503 before it."""
DRAIN_SECONDS = 60.0
WORKERS = ("worker-1:412", "worker-1:413", "worker-2:398")


def make_day(company: Company, operations: int, now: dt.datetime, token_lost_at: dt.datetime, random: Random) -> None:
    """Fill the last twenty-four hours up to now with about so many operations, done."""
    moments = moments_of_a_day(operations, now, random)
    crm, erp = round(operations * IN_THE_CRM), round(operations * INVOICES)
    _deliver_to_crm(company, sorted(moments[:crm]), now, random)
    invoiced = [moment for moment in moments[crm : crm + erp] if moment < token_lost_at]
    _write(company.erp, company.billing, [(moment, wares.invoice(random)) for moment in invoiced], random)
    told = [(moment, wares.message(random)) for moment in moments[crm + erp :]]
    _write(company.messages, company.notifications, told, random)


def moments_of_a_day(count: int, now: dt.datetime, random: Random) -> list[dt.datetime]:
    """Return moments of the last day, as the company's hours are busy."""
    minutes = [now - dt.timedelta(minutes=minute) for minute in range(2, 24 * 60)]
    zone = ZoneInfo(settings.OPS_TIME_ZONE)
    weights = [busy(minute.astimezone(zone)) for minute in minutes]
    drawn = random.choices(minutes, weights, k=count)
    return [moment + dt.timedelta(seconds=random.uniform(0, 60)) for moment in drawn]


def busy(moment: dt.datetime) -> float:
    """Return how busy the company is at a moment of its own day, from nearly nothing to 1."""
    here, next_hour = BUSY[moment.hour], BUSY[(moment.hour + 1) % 24]
    return (here + (next_hour - here) * moment.minute / 60) / max(BUSY)


def hand_in(
    service: Service, queue: Queue, work: Iterable[tuple[dt.datetime, Piece]], **columns: int
) -> list[PendingOperation]:
    """Take operations in as if each had been handed in at its moment, due since then."""
    return PendingOperation.objects.bulk_create(
        _row(service, queue, moment, piece, due_at=moment, **columns) for moment, piece in work
    )


def deliver(queue: Queue, count: int) -> None:
    """Carry so many operations that are due in a queue, as a worker does, in this process."""
    delivery.drain(queue, DRAIN_SECONDS, limit=count)


def rows_of(operations: Iterable[PendingOperation]) -> "QuerySet[PendingOperation]":
    """Return the rows of operations, as they stand in the database."""
    return PendingOperation.objects.filter(pk__in=[operation.pk for operation in operations])


def _deliver_to_crm(company: Company, moments: Sequence[dt.datetime], now: dt.datetime, random: Random) -> None:
    """Let new records reach the CRM, some of them with their answer lost, and then what is done to them later."""
    new = (wares.deal, wares.deal, wares.deal, wares.deal, wares.person, wares.company)
    since = Since()
    first = hand_in(company.crm, company.crm_queue, [(moment, random.choice(new)(random)) for moment in moments])
    spare = len(first) // 2
    lost = far_end.fault("lose_answer", service="piperun", method="POST", spare=spare, times=SHAKY)
    down = far_end.fault("answer", status=503, service="piperun", method="POST", spare=spare + SHAKY, times=SHAKY)
    deliver(company.crm_queue, len(first))
    far_end.drop_fault(lost)
    far_end.drop_fault(down)
    since.move(rows_of(first))
    since = Since()
    # Due again: a look finds what a lost answer had left there, and what is not there goes out again, under its key.
    unsure = list(rows_of(first).filter(status="pending"))
    rows_of(unsure).update(due_at=Now())
    later = hand_in(company.crm, company.crm_queue, _later_work(first, now, random))
    deliver(company.crm_queue, len(unsure) + len(later))
    since.move(rows_of(unsure), late_by=dt.timedelta(seconds=3))
    since.move(rows_of(later))


def _later_work(
    first: Sequence[PendingOperation], now: dt.datetime, random: Random
) -> Iterable[tuple[dt.datetime, Piece]]:
    deals = rows_of(first).filter(operation_type="deal.create", status="completed")
    for deal in deals.only("remote_id", "created_at"):
        moment = deal.created_at + dt.timedelta(minutes=random.uniform(5, 240))
        if moment < now and random.random() < 0.4:
            yield moment, random.choice((wares.note, wares.move))(random, int(deal.remote_id))


def _write(service: Service, queue: Queue, work: Sequence[tuple[dt.datetime, Piece]], random: Random) -> None:
    """Write operations that are done, with the calls that were made for them."""
    rows: list[PendingOperation] = []
    attempts: list[Attempt] = []
    for moment, piece in work:
        row = _done(_row(service, queue, moment, piece), random)
        rows.append(row)
        attempts += _calls(row, random)
    PendingOperation.objects.bulk_create(rows, batch_size=1000)
    Attempt.objects.bulk_create(attempts, batch_size=2000)


def _row(service: Service, queue: Queue, moment: dt.datetime, piece: Piece, **columns: object) -> PendingOperation:
    return PendingOperation(
        id=id_at(moment),
        service=service,
        queue=queue,
        operation_type=piece.operation_type,
        entity_type=piece.entity_type,
        entity_id=piece.entity_id,
        payload=piece.payload,
        source=piece.source,
        created_at=moment,
        **{"max_retries": service.max_retries} | columns,
    )


def _done(row: PendingOperation, random: Random) -> PendingOperation:
    """Give a row the end of a delivery that went well, at once or at the second attempt."""
    row.attempts = 2 if random.random() < 0.03 else 1
    waited = random.uniform(1, 3) if row.attempts == 2 else 0
    row.completed_at = row.created_at + dt.timedelta(seconds=random.uniform(0.2, 1.5) + waited)
    row.status = PendingOperation.Status.COMPLETED
    row.due_at, row.last_attempt_at, row.updated_at = row.created_at, row.completed_at, row.completed_at
    row.remote_id = str(row.pk)[-8:]
    return row


def _calls(row: PendingOperation, random: Random) -> Iterable[Attempt]:
    url, worker = row.service.base_url, random.choice(WORKERS)
    if row.attempts == 2:
        at = row.created_at + dt.timedelta(seconds=0.2)
        told = "Content-Type: application/json\n\n" + '{"error": "Service Unavailable"}'
        yield _call(row, at, 503, url, worker, random, failure_class="transient", excerpt=told)
    yield _call(row, row.last_attempt_at or row.created_at, 201, url, worker, random)


def _call(
    row: PendingOperation, at: dt.datetime, status: int, url: str, worker: str, random: Random, **columns: str
) -> Attempt:
    took = round(random.lognormvariate(4.2, 0.5))
    return Attempt(
        operation=row,
        service=row.service,
        at=at,
        duration_ms=took,
        method="POST",
        url=url,
        status_code=status,
        worker=worker,
        **columns,
    )
