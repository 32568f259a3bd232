"""How a background run is released: in batches as fast as they go, or paced with a canary, watched as it settles.

A paced run releases only while its unsettled rows stay under a window. That is how breakers and limits hold it back
without this app knowing them. A canary of one, then ten rows goes first; each stage waits until it has settled or two
minutes have passed. More than a set share failing again stops the run; a person resumes or cancels it.
"""

import datetime as dt
import time

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.actions import leases
from apps.actions.models import ActionItem, ActionRun
from apps.actions.running import BATCH, Lost, advance_to, database_now, release, retrying, verb_of

STAGES = (1, 10)
"""The rows of the canary's stages; what comes after them is the rest."""
STAGE_PATIENCE = dt.timedelta(minutes=2)
WATCHED = dt.timedelta(minutes=15)
TURN_SECONDS = 8.0
"""A worker lets go of a long run after so long, so that a stop finds it between two batches."""


def waiting() -> QuerySet[ActionRun]:
    """Return the runs that a worker should take up: queued, or held by a worker that fell silent."""
    lapsed = Q(status=ActionRun.Status.RUNNING, lease_until__lt=Now())
    return ActionRun.objects.filter(Q(status=ActionRun.Status.QUEUED) | lapsed).order_by("id")


def take_turn() -> ActionRun | None:
    """Take up the longest waiting run and release what may be released of it now; None where nothing waits."""
    taken = leases.take(ActionRun.advance, waiting()[:1])
    for run in taken:
        _begin(run)
        _release_paced(run) if run.paced else _release_all(run)
    return taken[0] if taken else None


def watch() -> int:
    """Score every run whose released rows have not all settled; close those that have, or that took too long."""
    held = Q(status__in=[ActionRun.Status.PAUSED, ActionRun.Status.STOPPED])
    ended = Q(status=ActionRun.Status.CANCELLED, finished_at__gt=Now() - WATCHED)
    unsettled = Q(moved__gt=F("confirmed") + F("failed_again"))
    watched = list(ActionRun.objects.filter(Q(status=ActionRun.Status.WATCHING) | (held | ended) & unsettled))
    for run in watched:
        score(run)
        if run.status != ActionRun.Status.WATCHING:
            continue
        late = run.released_at is not None and run.released_at + WATCHED < database_now()
        if run.still_open == 0 or late:
            advance_to(run, ActionRun.settle)
    return len(watched)


def score(run: ActionRun) -> None:
    """Count what became of the rows that a run moved: confirmed, failed again, still open."""
    for outcome, condition in verb_of(run).model.settles.items():
        settled = verb_of(run).model._base_manager.filter(condition).values("pk")
        run.items.filter(outcome=ActionItem.Outcome.UNKNOWN, object_id__in=settled).update(outcome=outcome)
    run.confirmed = run.items.filter(outcome=ActionItem.Outcome.CONFIRMED).count()
    run.failed_again = run.items.filter(outcome=ActionItem.Outcome.FAILED_AGAIN).count()
    ActionRun.objects.filter(pk=run.pk).update(confirmed=run.confirmed, failed_again=run.failed_again, updated_at=Now())


def _begin(run: ActionRun) -> None:
    if run.started_at is None:
        ActionRun.objects.filter(pk=run.pk).update(started_at=Now(), stage_started_at=Now())
        run.refresh_from_db()


def _release_all(run: ActionRun) -> None:
    ends = time.monotonic() + TURN_SECONDS
    while time.monotonic() < ends:
        try:
            looked_at = retrying(lambda: release(run, BATCH))
        except Lost:
            return
        leases.renew(ActionRun, [run.token or 0])
        if looked_at < BATCH:
            _released(run)
            return
    advance_to(run, ActionRun.wait)


def _released(run: ActionRun) -> None:
    advance_to(run, ActionRun.watch if verb_of(run).paced and run.moved else ActionRun.settle)


def _release_paced(run: ActionRun) -> None:
    score(run)
    if _too_many_failed(run):
        _stop(run)
        return
    if run.stage < len(STAGES) and _stage_is_over(run):
        _next_stage(run)
    allowance = _allowance(run)
    try:
        looked_at = retrying(lambda: release(run, allowance)) if allowance else None
    except Lost:
        return
    exhausted = looked_at is not None and looked_at < allowance
    _released(run) if exhausted else advance_to(run, ActionRun.wait)


def _too_many_failed(run: ActionRun) -> bool:
    failed = run.failed_again - run.forgiven
    settled = run.confirmed + failed
    return settled > 0 and failed / settled > run.stop_share


def _stop(run: ActionRun) -> None:
    reason = _("%(failed)s of %(settled)s settled rows failed again. See why, then resume or cancel.") % {
        "failed": run.failed_again,
        "settled": run.confirmed + run.failed_again,
    }
    advance_to(run, ActionRun.stop, stop_reason=reason)


def _stage_is_over(run: ActionRun) -> bool:
    if run.moved < sum(STAGES[: run.stage + 1]):
        return False
    patience = run.stage_started_at is not None and run.stage_started_at + STAGE_PATIENCE < database_now()
    return run.still_open == 0 or patience


def _next_stage(run: ActionRun) -> None:
    ActionRun.objects.filter(pk=run.pk, token=run.token).update(
        stage=F("stage") + 1, stage_started_at=Now(), stage_moved=F("moved")
    )
    run.refresh_from_db()


def _allowance(run: ActionRun) -> int:
    """Return how many rows may be released now: what the stage, the window and the rate leave."""
    if run.stage < len(STAGES):
        return max(sum(STAGES[: run.stage + 1]) - run.moved, 0)
    allowed = min(run.window - run.still_open, BATCH)
    if run.rate_per_second and run.stage_started_at:
        elapsed = (database_now() - run.stage_started_at).total_seconds()
        # Bounded by one tick's worth, so that a pause does not save up a burst.
        due = run.rate_per_second * elapsed - (run.moved - run.stage_moved)
        allowed = min(allowed, int(due), max(int(run.rate_per_second * 5), 1))
    return max(allowed, 0)
