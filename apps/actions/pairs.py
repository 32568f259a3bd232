"""Two batches of a run under way at once, and written one after the other.

The second moves its rows beside the first, over a connection of its own. Then it waits, in PostgreSQL, for the first to
end, and is written only where that left the run at the very row behind which the second began. Else nothing of it is
written and its rows come in their turn: a kill, a pause or a locked row in between costs its work, and never a row.
"""

import logging
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from contextvars import copy_context
from typing import Any, Self
from uuid import UUID

from django.db import connection, transaction
from django.utils.translation import override

from apps.actions.models import ActionRun
from apps.actions.running import keep_progress, move_on, nth, release, rows_behind, take_over

log = logging.getLogger(__name__)

PATIENCE_MS = 500
"""The second gives way before PostgreSQL breaks a circle of waits (after a second): nobody else is failed for its sake."""

TOGETHER = 700
"""Rows of each of two batches. Both are locked until the second has ended: with 1,000 others waited several times as long for one of them."""

Came = tuple[dict[str, Any], bool]
"""How far a batch brought the run, and whether the selection is at its end."""


class Pair:
    """Releases a run two batches at a time; one by one from the moment a second batch has to give way."""

    def __init__(self, run: ActionRun) -> None:
        self.run = run
        self.alone = connection.in_atomic_block  # another connection does not see what is not committed

    def __enter__(self) -> Self:
        self.thread = ThreadPoolExecutor(1, "second")
        return self

    def __exit__(self, *_exception: object) -> None:
        self.thread.submit(_hang_up)
        self.thread.shutdown()

    def release(self, limit: int) -> bool:
        """Release the next two batches, of `limit` rows at most; say and raise what `running.release` does."""
        rows, size = rows_behind(self.run, self.run.walked_to), min(limit, TOGETHER)
        last = None if self.alone else nth(rows, size)
        if last is None:
            return release(self.run, limit)
        with ExitStack() as ended:
            with transaction.atomic(), override(self.run.language):
                _have_turn(self.run)
                second = self.thread.submit(copy_context().run, _second, self.run, last, size)
                ended.callback(self._await, second)
                progress = keep_progress(self.run, move_on(self.run, rows.filter(pk__lte=last), size))
            take_over(self.run, progress)
        return not self.alone and self._taken_over(second.result())

    def _await(self, second: "Future[Came]") -> None:
        wait([second])
        if (error := second.exception()) is not None:
            log.info("The second of two batches of run %s comes in its turn: %s", self.run.pk, type(error).__name__)
            self.alone = True

    def _taken_over(self, came: Came) -> bool:
        progress, done = came
        take_over(self.run, progress)
        return done


def _second(run: ActionRun, begin: UUID, limit: int) -> Came:
    """Do the batch that begins behind a row where another one ends; raise where that one does not end there."""
    with transaction.atomic(), override(run.language):
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {PATIENCE_MS}")
        looked_at = move_on(run, rows_behind(run, begin), limit)
        _have_turn(run)
        now = ActionRun.objects.get(pk=run.pk, token=run.token, walked_to=begin)
        return keep_progress(now, looked_at), len(looked_at) < limit


def _hang_up() -> None:
    connection.close()  # of the thread that asks


def _have_turn(run: ActionRun) -> None:
    """Let whoever has the run's turn end, and have it until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('actions.turn'), hashtext(%s))", [str(run.pk)])
