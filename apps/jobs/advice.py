"""What to do about a queue that grows (S1-72 to S1-76): are workers there, do they live, and where does the time go?"""

from collections.abc import Callable
from dataclasses import dataclass

from django.urls import reverse
from django.utils.module_loading import import_string
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.jobs.catalogue import BOTTLENECKS
from apps.jobs.lanes import Standing
from apps.jobs.models import Process, Queue
from apps.jobs.working import at_work


@dataclass(frozen=True, slots=True)
class Advice:
    """What stands in the way of a queue, and what to do: a sentence or two, and the page on which to do it."""

    state: str
    """How grave it is: failed, warning, or pending where it is only told."""
    words: str
    url: str = ""
    link: str = ""


def advice(standing: Standing) -> list[Advice]:
    """Say what to do about a queue, what holds it up first; nothing where it does not grow."""
    queue = standing.queue
    if not standing.grows:
        return []
    if queue.status == Queue.Status.PAUSED:
        return [Advice("warning", _("It is paused: work is taken in and waits. Resume it once the reason is gone."))]
    processes = Processes(standing)
    if not processes.draining():
        return processes.missing()
    tell: Callable[[Standing], list[Advice]] = import_string(BOTTLENECKS)
    return [*processes.tickless(), *tell(standing), *processes.busy(), *processes.silent()]


class Processes:
    """The processes that carry work, as they stand at this moment."""

    def __init__(self, standing: Standing) -> None:
        self.standing = standing
        self.rows = list(Process.objects.exclude(kind=Process.Kind.WEB))

    def live(self, *kinds: str) -> list[Process]:
        """Return those of some kinds that live."""
        return [row for row in self.rows if row.kind in kinds and not row.silent_at(self.standing.now)]

    def draining(self) -> list[Process]:
        """Return the live workers that take from queues."""
        return [row for row in self.live("worker") if row.drains]

    def missing(self) -> list[Advice]:
        """Say that nobody takes work."""
        words = _(
            "No worker runs, so nothing is taken. Start one: docker compose up -d worker, or what starts programs at "
            "your place. What waits is kept and goes out by itself then."
        )
        return [Advice("failed", words, _page(), _("Workers")), *self.silent()]

    def silent(self) -> list[Advice]:
        """Name the workers that gave no sign of life."""
        now = self.standing.now
        words = _(
            "%(worker)s has been silent for %(age)s: it hangs, or its machine is gone. What it held goes to others. "
            "Restart it there; one that ended and will not come back leaves this list after a day."
        )
        return [
            Advice("warning", words % {"worker": row, "age": timesince(row.beat_at, now)}, _page(), _("Workers"))
            for row in self.rows
            if row.drains and row.silent_at(now)
        ]

    def tickless(self) -> list[Advice]:
        """Say that what no message speaks of is not found."""
        if self.live("ticker") and self.live("beat"):
            return []
        words = _(
            "Beat or the ticker does not run, so work that became due later is not found. Start them: docker compose up -d "
            "beat ticker."
        )
        return [Advice("failed", words, _page(), _("Workers"))]

    def busy(self) -> list[Advice]:
        """Say that every process of the workers has work in its hands."""
        workers = self.draining()
        pools = [name for row in workers for name in row.holders[1:]]
        if not pools or len(at_work(pools)) < len(pools):
            return []
        words = ngettext(
            "The %(count)s process of the workers is busy. Let more work at once: manage.py workers scale %(more)s, or start "
            "another worker.",
            "All %(count)s processes of the workers are busy. Let more work at once: manage.py workers scale %(more)s, "
            "or start another worker.",
            len(pools),
        )
        more = 2 * max(row.concurrency or 1 for row in workers)
        return [Advice("warning", words % {"count": len(pools), "more": more}, _page(), _("Workers"))]


def _page() -> str:
    return reverse("admin:jobs_process_changelist")
