"""The demo company at work: a few operations a second, handed in as any code of a company would."""

import logging
import threading
from functools import partial
from random import Random
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import Error, connection, transaction

from apps.actions.running import database_now
from apps.actions.tasks import wake
from apps.actions.verbs import Refused
from apps.integrations.tasks import process_events
from apps.operations.intake import Wanted, submit
from apps.operations.models import PendingOperation
from apps.operations.tasks import drain
from opsconsole.demo import far_end, wares
from opsconsole.demo.company import CRM, MESSAGES, played
from opsconsole.demo.events import tell_of_a_lead, tell_of_referrals
from opsconsole.demo.history import busy

log = logging.getLogger(__name__)

LEAST, MOST = 1.2, 3.0
"""Operations a second, in the quietest hour and in the busiest."""
PATIENCE_SECONDS = 3.0


def keep_busy(stopped: threading.Event) -> None:
    """Hand in work until it is stopped. A database that is away is waited for, a real CRM gets nothing."""
    random, referred = Random(), False  # noqa: S311 # of a play
    while not stopped.wait(random.expovariate(MOST)):
        try:
            if may_work() and random.random() < _share_of_most():
                referred = referred or tell_of_referrals()
                tell_or_hand_in(random)
        except (Error, Refused, far_end.Away) as error:
            log.warning("Nothing could be handed in: %s", error)
            connection.close()
            stopped.wait(PATIENCE_SECONDS)


def may_work() -> bool:
    """Say whether the simulator plays both services that the traffic is for: a real one must get nothing of it."""
    return all(played(slug) for slug in (CRM, MESSAGES))


def tell_or_hand_in(random: Random) -> None:
    """Let the site tell of something, or hand in a piece of work."""
    if random.random() < 0.1:
        tell_of_a_lead(random)
        transaction.on_commit(partial(wake, process_events))
    else:
        hand_in_one(random)


def hand_in_one(random: Random) -> PendingOperation:
    """Hand in one piece of work."""
    if random.random() < 0.35:
        return hand_in(wares.message(random), MESSAGES, "notifications")
    return hand_in(_for_the_crm(random), CRM, "crm")


def hand_in(piece: wares.Piece, service: str, queue: str) -> PendingOperation:
    """Hand a piece of work in, and wake a worker for it."""
    wanted = Wanted(
        operation_type=piece.operation_type,
        payload=piece.payload,
        service=service,
        queue=queue,
        entity_type=piece.entity_type,
        entity_id=piece.entity_id,
    )
    operation = submit(wanted, piece.source)
    transaction.on_commit(partial(wake, drain, queue))
    return operation


def _for_the_crm(random: Random) -> wares.Piece:
    deal = _a_deal(random) if random.random() < 0.4 else None
    if deal:
        return random.choice((wares.note, wares.move))(random, deal)
    return random.choice((wares.deal, wares.deal, wares.deal, wares.person, wares.company))(random)


def _a_deal(random: Random) -> int | None:
    """Return the far end's id of one of the newest deals."""
    done = PendingOperation.objects.filter(status="completed", service__slug=CRM, operation_type="deal.create")
    newest = list(done.order_by("-id").values_list("remote_id", flat=True)[:20])
    return int(random.choice(newest)) if newest else None


def _share_of_most() -> float:
    moment = database_now().astimezone(ZoneInfo(settings.OPS_TIME_ZONE))
    return LEAST / MOST + (1 - LEAST / MOST) * busy(moment)
