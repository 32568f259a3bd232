"""How a background run is released: in batches as fast as they go, or paced with a canary, watched as it settles.

A paced run releases only while its unsettled rows stay under a window. That is how breakers and limits hold it back
without this app knowing them. A canary of one, then ten rows goes first; each stage waits until it has settled or two
minutes have passed. More than a set share failing again stops the run; a person resumes or cancels it.
"""

import datetime as dt
import time
from collections.abc import Iterator
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import override

from apps.actions import leases
from apps.actions.models import ActionItem, ActionRun
from apps.actions.pairs import Pair
from apps.actions.running import (
    BATCH,
    BUSY,
    Lost,
    advance_to,
    database_now,
    is_watched,
    release,
    retrying,
    tell,
    verb_of,
)
from apps.actions.verbs import Refused

STAGES = (1, 10)
"""The rows of the canary's stages; what comes after them is the rest."""
STAGE_PATIENCE = dt.timedelta(minutes=2)
WATCHED = dt.timedelta(minutes=15)
TURN_SECONDS = 8.0
"""A worker lets go of a long run after so long, so that a stop finds it between two batches."""
SHOWN_SECONDS = 1.0
"""A run that is driven from a terminal says so often how far it is: to let go and take it up again, over a new second
connection, costs as much as several hundred rows."""
PACE_SECONDS = 2
"""A run that its window, its rate or a stage holds is looked at again after so long."""
BURST_SECONDS = 5
"""So much of a rate may be caught up with at once: neither a pause nor a lost worker saves up a burst."""
SCORED_AT_ONCE = 20_000
"""Rows scored by one statement: it stays short however large the run."""
SCORE_REST = 20
"""A run is scored again after so many times what the last scoring took."""
CRASHES = 4
"""So many workers may fall silent over the same rows before the run is stopped."""


def waiting() -> QuerySet[ActionRun]:
    """Return the runs that a worker should take up: queued and due, or held by a worker that fell silent."""
    queued = Q(status=ActionRun.Status.QUEUED, due_at__lte=Now())
    lapsed = Q(status=ActionRun.Status.RUNNING, lease_until__lt=Now())
    return ActionRun.objects.filter(queued | lapsed).order_by("due_at", "id")


def take_turn() -> ActionRun | None:
    """Take up the longest waiting run and release what may be released of it now; None where nothing waits."""
    taken = leases.take(ActionRun.advance, waiting(), 1)
    for run in taken:
        _turn(run, TURN_SECONDS)
    return taken[0] if taken else None


def drive(run: ActionRun) -> Iterator[ActionRun]:
    """Release a run from this process, and yield now and then how far it is; needs no worker, and bears with one."""
    while True:
        before = run.walked_to
        for held in leases.take(ActionRun.advance, waiting().filter(pk=run.pk), 1):
            _turn(held, SHOWN_SECONDS)
        run.refresh_from_db()
        yield run
        if run.status not in (ActionRun.Status.QUEUED, ActionRun.Status.RUNNING):
            return
        if run.walked_to == before:  # a worker has it, or its pace holds it
            time.sleep(0.2)


def watch() -> int:
    """Score every run whose released rows have not all settled; close those that have, or that took too long."""
    held = Q(status__in=[ActionRun.Status.PAUSED, ActionRun.Status.STOPPED])
    ended = Q(status=ActionRun.Status.CANCELLED, finished_at__gt=Now() - WATCHED)
    unsettled = Q(moved__gt=F("confirmed") + F("failed_again"))
    watched = Q(status=ActionRun.Status.WATCHING) | (held | ended) & unsettled
    runs = list(ActionRun.objects.filter(watched, due_at__lte=Now()))
    for run in runs:
        if is_watched(run):
            began = time.monotonic()
            score(run)
            _rest(run, (time.monotonic() - began) * SCORE_REST)
        late = run.released_at is not None and run.released_at + WATCHED < database_now()
        if run.status == ActionRun.Status.WATCHING and (run.still_open == 0 or late or not is_watched(run)):
            advance_to(run, ActionRun.settle)
    return len(runs)


def _rest(run: ActionRun, seconds: float) -> None:
    """Leave a run alone for a while whose score takes long: a million rows are not looked through at every tick."""
    if seconds > PACE_SECONDS:
        ActionRun.objects.filter(pk=run.pk).update(due_at=Now() + dt.timedelta(seconds=min(seconds, 60)))


def score(run: ActionRun) -> None:
    """Count what became of the rows that a run moved: confirmed, failed again, still open."""
    while _score_some(run):
        pass
    run.refresh_from_db(fields=["confirmed", "failed_again"])


def _score_some(run: ActionRun) -> bool:
    """Score so many rows as one short statement bears; say whether there may be more."""
    model = verb_of(run).model
    with transaction.atomic():
        if not _only_scorer(run):
            return False
        found = {outcome: _scored(run, outcome, model._base_manager.filter(q)) for outcome, q in model.settles.items()}
        counted = {outcome: F(outcome) + count for outcome, count in found.items() if count}
        if counted:
            ActionRun.objects.filter(pk=run.pk).update(**counted, updated_at=Now())
    return max(found.values(), default=0) == SCORED_AT_ONCE


def _only_scorer(run: ActionRun) -> bool:
    """Say whether nobody else is scoring the run. No row is locked for it: a person can pause a run meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('actions.score'), hashtext(%s))", [str(run.pk)])
        return bool(cursor.fetchone()[0])


def _scored(run: ActionRun, outcome: str, settled: QuerySet[Any]) -> int:
    open_items = run.items.filter(outcome=ActionItem.Outcome.UNKNOWN).order_by()
    some = open_items.filter(object_id__in=settled.values("pk")).values("pk")[:SCORED_AT_ONCE]
    return ActionItem.objects.filter(pk__in=some).update(outcome=outcome)


def _turn(run: ActionRun, seconds: float) -> None:
    """Release what may be released of a run that this worker holds."""
    ends = time.monotonic() + seconds
    try:
        with override(run.language):
            if run.crashes >= CRASHES:
                _stop(run, _("Its workers fell silent %(times)s times over the same rows.") % {"times": run.crashes})
                return
            _begin(run)
            _release_paced(run, ends) if run.paced else _release_all(run, ends)
    except Lost:
        return
    except Refused as refused:
        if refused.code == BUSY:  # somebody else holds the rows for long: nothing of this batch was written
            advance_to(run, ActionRun.wait, pause=dt.timedelta(seconds=PACE_SECONDS))
        else:  # its filter has lost its meaning: the service it names is gone, say
            _stop(run, str(refused))


def _begin(run: ActionRun) -> None:
    if run.started_at is None:
        ActionRun.objects.filter(pk=run.pk).update(started_at=Now(), stage_started_at=Now())
        run.refresh_from_db(fields=["started_at", "stage_started_at"])


def _release_all(run: ActionRun, ends: float) -> None:
    with Pair(run) as pair:
        while not retrying(lambda: pair.release(BATCH)):
            if time.monotonic() >= ends:
                advance_to(run, ActionRun.wait, pause=dt.timedelta())
                return
            leases.renew(ActionRun, [run.token or 0])
    _released(run)


def _released(run: ActionRun) -> None:
    advance_to(run, ActionRun.watch if verb_of(run).paced and run.moved else ActionRun.settle)
    tell(run, "released")


def _release_paced(run: ActionRun, ends: float) -> None:
    score(run)
    if _too_many_failed(run):
        _stop(run, _why_stopped(run))
        return
    if run.stage < len(STAGES) and _stage_is_over(run):
        _next_stage(run)
    goal = run.moved + _allowance(run)
    while run.moved < goal:
        if retrying(lambda: release(run, BATCH, moving=goal - run.moved)):
            _released(run)
            return
        if time.monotonic() >= ends:
            break
        leases.renew(ActionRun, [run.token or 0])
    advance_to(run, ActionRun.wait, pause=dt.timedelta(seconds=PACE_SECONDS))


def _too_many_failed(run: ActionRun) -> bool:
    failed = run.failed_again - run.forgiven
    settled = run.confirmed + failed
    return settled > 0 and failed / settled > run.stop_share


def _why_stopped(run: ActionRun) -> str:
    return _("%(failed)s of %(settled)s settled rows failed again. See why, then resume or cancel.") % {
        "failed": run.failed_again,
        "settled": run.confirmed + run.failed_again,
    }


def _stop(run: ActionRun, reason: str) -> None:
    advance_to(run, ActionRun.stop, stop_reason=reason)
    tell(run, "stopped")


def _stage_is_over(run: ActionRun) -> bool:
    if run.moved < sum(STAGES[: run.stage + 1]):
        return False
    patience = run.stage_started_at is not None and run.stage_started_at + STAGE_PATIENCE < database_now()
    return run.still_open == 0 or patience


def _next_stage(run: ActionRun) -> None:
    _begin_stage(run, stage=run.stage + 1, stage_started_at=Now())


def _begin_stage(run: ActionRun, **columns: Any) -> None:
    """Write where the stage stands; never reads the token, which another worker may have drawn meanwhile."""
    ActionRun.objects.filter(pk=run.pk, token=run.token).update(**columns, stage_moved=F("moved"))
    run.refresh_from_db(fields=["stage", "stage_started_at", "stage_moved"])


def _allowance(run: ActionRun) -> int:
    """Return how many rows may be released now: what the stage, the window and the rate leave."""
    if run.stage < len(STAGES):
        return max(sum(STAGES[: run.stage + 1]) - run.moved, 0)
    room = run.window - run.still_open
    return max(min(room, _due(run)) if run.rate_per_second else room, 0)


def _due(run: ActionRun) -> int:
    """Return how many rows the rate owes since the stage began."""
    rate, began = run.rate_per_second or 0, run.stage_started_at or database_now()
    due = rate * (database_now() - began).total_seconds() - (run.moved - run.stage_moved)
    most = max(rate * BURST_SECONDS, 1)
    if due > most:
        _begin_stage(run, stage_started_at=Now() - dt.timedelta(seconds=most / rate))
    return int(min(due, most))
