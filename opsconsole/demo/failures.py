"""What went wrong today, each by its real way: the simulator refused it, gave no answer in time, or took a new token."""

import datetime as dt
from collections.abc import Iterable, Sequence
from random import Random

from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.actions.actors import Actor
from apps.actions.leases import POISON_AFTER
from apps.actions.pacing import watch
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.integrations.models import CircuitBreaker
from apps.jobs.models import Queue
from apps.operations import rescuing
from apps.operations.models import PendingOperation
from opsconsole.demo import far_end, wares
from opsconsole.demo.company import ERP, Company
from opsconsole.demo.history import deliver, hand_in, rows_of
from opsconsole.demo.past import Since

WITHOUT_STAGE, UNANSWERED, INVOICES_HELD, MENDED, STATEMENTS = 38, 4, 5, 9, 12
HOUR = dt.timedelta(hours=1)
GATEWAY = {"success": False, "message": "Gateway Timeout"}


def lose_stage() -> None:
    """Let a stage be missing in the CRM: deals for it are refused until the fault is taken away."""
    far_end.fault(
        "answer",
        status=422,
        service="piperun",
        path="/v1/deals",
        method="POST",
        payload={"stage_id": str(wares.LOST_STAGE)},
        body=_refusal("stage_id", "A etapa não existe mais neste funil."),
    )


def refuse_stage(company: Company, moments: Sequence[dt.datetime], random: Random) -> None:
    """Since this morning the stage is missing, and all deals for it were given up."""
    lose_stage()
    _send(company, [(moment, wares.deal(random, wares.LOST_STAGE)) for moment in moments])


def leave_unanswered(company: Company, at: dt.datetime, random: Random) -> None:
    """Four deals ran into the gateway's timeout and may not be repeated: two are in the CRM, two are not."""
    for number, after_effect in enumerate((True, False)):
        gone = far_end.fault(
            "answer", status=504, body=GATEWAY, service="piperun", method="POST", after_effect=after_effect
        )
        moments = [at + dt.timedelta(seconds=40 * number + 9 * each) for each in range(UNANSWERED // 2)]
        _send(company, [(moment, wares.deal(random)) for moment in moments], max_retries=1)
        far_end.drop_fault(gone)


def kill_workers(company: Company, at: dt.datetime, random: Random) -> None:
    """One deal whose workers fell silent, time after time; the sweep gives it up."""
    since = Since()
    [row] = hand_in(company.crm, company.crm_queue, [(at, wares.deal(random))])
    rows = rows_of([row])
    held = {"status": PendingOperation.Status.PROCESSING, "worker": "worker-2:398", "crashes": POISON_AFTER - 1}
    rows.update(lease_until=Now() - HOUR, **held)
    rescuing.rescue_lapsed()
    since.move(rows)
    since.move_items(at)


def rotate_token(company: Company, at: dt.datetime, random: Random) -> None:
    """Somebody rotated the ERP's token and told nobody: its breaker is open, its invoices wait and lose no attempt."""
    since = Since()
    far_end.rotate(ERP)
    moments = [at + dt.timedelta(minutes=7 * number) for number in range(INVOICES_HELD)]
    waiting = hand_in(company.erp, company.billing, [(moment, wares.invoice(random)) for moment in moments])
    deliver(company.billing, len(waiting))
    since.move(rows_of(waiting), at)
    CircuitBreaker.objects.filter(service=company.erp).update(opened_at=at)
    since.move_items(at)


def mend_earlier(company: Company, at: dt.datetime, random: Random) -> None:
    """Persons refused because their owner had been locked; half an hour later Ana retried them, and all arrived."""
    fault = far_end.fault(
        "answer",
        status=422,
        service="piperun",
        method="POST",
        body=_refusal("owner_id", "O usuário responsável está inativo."),
    )
    failed = _send(company, [(at + number * HOUR / 60, wares.person(random)) for number in range(MENDED)])
    far_end.drop_fault(fault)
    since, retried_at = Since(), at + HOUR / 2
    selection = Selection.ticked(PendingOperation, [row.pk for row in failed])
    note = _("The owner's account is active again.")
    retried = run(PendingOperation.retry, selection, Actor.of_user(company.ana), given={"note": note})
    deliver(company.crm_queue, len(failed))
    watch()
    since.move(rows_of(failed), retried_at)
    since.move_run(retried, retried_at)


def pause_statements(company: Company, at: dt.datetime, random: Random) -> None:
    """Ana holds the statements of the month until the books are closed."""
    since = Since()
    selection = Selection.ticked(Queue, [company.statements.pk])
    reason = _("The books of the month are not closed yet. Resume when accounting gives its word.")
    paused = run(Queue.pause, selection, Actor.of_user(company.ana), given={"reason": reason})
    moments = [at + number * HOUR / 20 for number in range(1, STATEMENTS + 1)]
    hand_in(company.messages, company.statements, [(moment, wares.statement(random)) for moment in moments])
    Queue.objects.filter(pk=company.statements.pk).update(paused_at=at)
    since.move_run(paused, at)


def _send(company: Company, work: Iterable[tuple[dt.datetime, wares.Piece]], **columns: int) -> list[PendingOperation]:
    since = Since()
    rows = hand_in(company.crm, company.crm_queue, work, **columns)
    deliver(company.crm_queue, len(rows))
    since.move(rows_of(rows))
    return rows


def _refusal(field: str, said: str) -> dict[str, object]:
    return {"success": False, "message": [], "data": {field: [said]}}
