import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from apps.actions.management.terminal import REFUSED, WRONGLY_ASKED, refusals
from apps.actions.running import database_now
from apps.jobs.models import Process
from opsconsole import workers
from opsconsole.workers import EXITS, MOST_AT_ONCE, Situation

PATIENCE_SECONDS = 120


class Command(BaseCommand):
    help = (
        "status: which processes run and what they do; exits 0 running, 1 paused (every queue is), 2 none. "
        "restart: end the workers in order and wait until others run in their place. "
        "scale: how much each worker carries at once, until it is started again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True, metavar="status|restart|scale")
        status = what.add_parser("status", help="which processes run, and what each does now")
        status.add_argument("--json", action="store_true", help="for programs")
        restart = what.add_parser("restart", help="end the workers in order and wait for new ones")
        scale = what.add_parser("scale", help="how much each worker carries at once")
        scale.add_argument("number", type=int, help=f"1 to {MOST_AT_ONCE}")
        for each in (restart, scale):
            each.add_argument("--wait", type=float, default=PATIENCE_SECONDS, metavar="SECONDS", help="at most")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            getattr(self, f"_{options['what']}")(options)

    def _status(self, options: dict[str, Any]) -> None:
        now = Situation.now()
        if options["json"]:
            self.stdout.write(json.dumps(now.as_json(), default=str, indent=2))
        else:
            self._table(now)
        if EXITS[now.word]:
            raise SystemExit(EXITS[now.word])

    def _table(self, now: Situation) -> None:
        moment = database_now()
        for row, each in now:
            state = _("silent") if each.silent else _("lives")
            doing = "; ".join(doing.words for doing in each.doing) or "-"
            since = timesince(row.since, moment, depth=1)
            self.stdout.write(f"{row.kind:<8}{row!s:<32}{row.concurrency or '-'!s:<4}{state:<10}{since:<14}{doing}")
        for lane in now.lanes:
            told = {"waiting": lane.waiting, "places": lane.lane.at_work, "most": lane.queue.concurrency}
            words = _("%(waiting)s wait, %(places)s of %(most)s workers at it") % told
            self.stdout.write(f"{_('queue'):<8}{lane.queue.slug:<32}{lane.queue.get_status_display():<14}{words}")
        self.stdout.write(_state(now.word))
        kinds = {row.kind for row, each in now if not each.silent}
        if now.word != "inactive" and not kinds >= {Process.Kind.TICKER, Process.Kind.BEAT}:
            self.stderr.write(_("Beat or the ticker does not run: what becomes due later is not found."))

    def _restart(self, options: dict[str, Any]) -> None:
        rows, left = workers.restartable()
        for row in (*rows, *left):
            self.stdout.write(_("%(node)s runs as %(process)s.") % {"node": row.node, "process": row.name})
        if left:
            words = _(
                "Nobody is known to start %(names)s again (OPS_SUPERVISOR is not set there), so nothing was restarted. "
                "Restart by what started it."
            )
            raise CommandError(words % {"names": ", ".join(map(str, left))}, returncode=REFUSED)
        if not rows:
            raise CommandError(_("No worker runs. Start one: docker compose up -d worker ticker."), returncode=REFUSED)
        self.stdout.write(_("They finish what they have begun."))
        missing = workers.restart(rows, options["wait"], self._say)
        if missing:
            words = _("%(names)s did not come back within %(seconds)s s. Look at what starts it, and at its log.")
            told = {"names": ", ".join(missing), "seconds": round(options["wait"])}
            raise CommandError(words % told, returncode=REFUSED)

    def _scale(self, options: dict[str, Any]) -> None:
        if not 1 <= options["number"] <= MOST_AT_ONCE:
            words = _("A worker carries 1 to %(most)s things at once. Pause a queue to stop it.")
            raise CommandError(words % {"most": MOST_AT_ONCE}, returncode=WRONGLY_ASKED)
        failed = workers.scale(options["number"], options["wait"], self._say)
        self.stdout.write(
            _(
                "It lasts until the worker is started again. For good: --concurrency in what starts it "
                "(docker-compose.yml, service worker)."
            )
        )
        total, let_in = workers.reach()
        if total > let_in:
            words = _(
                "The queues together let %(places)s workers in at once: the others only help bulk runs, events and "
                "probes. The form of a queue has its number."
            )
            self.stdout.write(words % {"places": let_in})
        if failed:
            raise CommandError(" ".join(failed), returncode=REFUSED)

    def _say(self, words: str) -> None:
        self.stdout.write(words)
        self.stdout.flush()


def _state(word: str) -> str:
    return {
        "running": _("running"),
        "paused": _("paused: every queue is"),
        "inactive": _("inactive: no worker runs"),
    }[word]
