from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.translation import gettext as _

from apps.actions import pacing, running
from apps.actions.management.terminal import REFUSED, Bar, refusals, whoever
from apps.actions.selections import TICKED_AT_MOST, Selection, closest
from apps.actions.verbs import Invalid, NotFound
from apps.jobs.models import Queue
from apps.operations import claiming, delivery
from apps.operations.intake import why_waiting
from apps.operations.models import PendingOperation

SLICE_SECONDS = 1.0
"""How long is delivered between two drawings of the bar."""


class Command(BaseCommand):
    help = (
        "Send the pending operations now, from this process and without a worker: runbook 0's reprocessing of all "
        "pending ones. Exits 0 when none is left to send, 1 when some failed or still wait."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say how many would go out")
        parser.add_argument("--queue", default="", help="only those of one queue")
        parser.add_argument("--limit", type=int, help="the oldest so many (up to 1,000)")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            queues = _queues(options["queue"])
            pending = Selection.matching(PendingOperation, {"status": "pending", "queue": options["queue"]})
            wanted = _oldest(pending, options["limit"])
            if options["dry_run"]:
                self.stdout.write(_("%(count)s operations would go out now.") % {"count": wanted.rows().count()})
                return
            _make_due(wanted)
        score = self._deliver(queues, wanted.rows().count(), options["limit"])
        self._tell(score, pending)

    def _deliver(self, queues: list[Queue], total: int, limit: int | None) -> Counter[str]:
        score, bar = Counter[str](), Bar(self.stdout, total)
        for queue in queues:
            while (left := None if limit is None else limit - score.total()) != 0:
                ended = delivery.drain(queue, SLICE_SECONDS, left)
                score += ended
                bar.show(score.total())
                if not ended and not claiming.free_services(queue):
                    break
        bar.end()
        return score

    def _tell(self, score: Counter[str], pending: Selection) -> None:
        waiting = pending.rows().count()
        told = {"done": score["complete"], "failed": score["fail"], "waiting": waiting}
        self.stdout.write(_("%(done)s completed, %(failed)s failed, %(waiting)s still pending.") % told)
        for reason in _reasons(pending):
            self.stderr.write(reason)
        if waiting or score["fail"]:
            raise SystemExit(REFUSED)


def _queues(slug: str) -> list[Queue]:
    queues = list(Queue.objects.filter(slug=slug) if slug else Queue.objects.all())
    if slug and not queues:
        known = list(Queue.objects.values_list("slug", flat=True))
        raise NotFound(_("There is no queue %(slug)s; %(hint)s") % {"slug": slug, "hint": closest(slug, known)})
    return queues


def _oldest(pending: Selection, limit: int | None) -> Selection:
    """Return the oldest of the pending operations, as many as are wanted."""
    if limit is None:
        return pending
    if not 1 <= limit <= TICKED_AT_MOST:
        raise Invalid(_("--limit takes 1 to %(most)s; leave it out for all.") % {"most": TICKED_AT_MOST})
    keys = list(pending.rows().order_by("pk").values_list("pk", flat=True)[:limit])
    return Selection.ticked(PendingOperation, keys) if keys else pending


def _make_due(wanted: Selection) -> None:
    """Retry what is not due yet. Those that are due go out anyway."""
    retry = PendingOperation.retry
    if running.preview(retry, wanted, whoever()).moving:
        run = running.run(retry, wanted, whoever())
        for _state in pacing.drive(run):
            pass


def _reasons(pending: Selection) -> list[str]:
    """Say what holds the operations that still wait: one of each service and queue tells."""
    some = pending.rows().order_by("queue_id", "service_id").distinct("queue_id", "service_id")
    return why_waiting(list(some.select_related("service__breaker", "queue")))
