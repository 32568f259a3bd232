import datetime as dt
import time
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.actions.management.terminal import REFUSED, WRONGLY_ASKED, refusals
from apps.actions.running import database_now
from apps.actions.verbs import state_label
from apps.integrations.models import CircuitBreaker
from apps.integrations.names import named_service
from apps.integrations.panel import span_words
from apps.integrations.traffic import calls_in
from apps.integrations.watching import moves_since, reopened
from apps.jobs.backlog import backlogs

CLOSED = CircuitBreaker.Status.CLOSED
INTERRUPTED = 130
"""The exit code of a command that was ended with Ctrl-C."""


class Command(BaseCommand):
    help = (
        "Watch a circuit breaker, after a reset for instance: a line every 30 seconds for five minutes. Exits 0 where it "
        "is closed at the end, 1 as soon as it has opened again, or where it has not closed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("service", help="piperun, crm, …")
        parser.add_argument("--every", type=float, default=30, metavar="SECONDS", help="seconds between two lines")
        parser.add_argument("--minutes", type=float, default=5, help="for how long")

    def handle(self, *args: Any, **options: Any) -> None:
        every, minutes = options["every"], options["minutes"]
        if not (0.1 <= every <= 3600 and 0 < minutes <= 24 * 60):
            words = _("--every takes 0.1 to 3600 seconds, --minutes up to a day.")
            raise CommandError(words, returncode=WRONGLY_ASKED)
        with refusals():
            service = named_service(options["service"])
            breaker = CircuitBreaker.objects.select_related("service").get(service=service)
        try:
            self._watch(breaker, every, minutes)
        except KeyboardInterrupt:
            self.stdout.write(_("Not watched to the end."))
            raise SystemExit(INTERRUPTED) from None

    def _watch(self, breaker: CircuitBreaker, every: float, minutes: float) -> None:
        began = before = self._tell(breaker, None)
        ends = time.monotonic() + minutes * 60
        while (left := ends - time.monotonic()) > 0:
            time.sleep(min(every, left))
            before = self._tell(breaker, before)
            opened_at = reopened(moves_since(breaker, began))
            if opened_at:
                after = {"service": breaker, "after": span_words((opened_at - began).total_seconds())}
                raise CommandError(_("%(service)s opened again after %(after)s.") % after, returncode=REFUSED)
        if breaker.status != CLOSED:
            told = {"service": breaker, "state": state_label(CircuitBreaker, breaker.status)}
            raise CommandError(_("%(service)s has not closed: it is %(state)s.") % told, returncode=REFUSED)
        self.stdout.write(_("%(service)s is closed, and did not open again.") % {"service": breaker})

    def _tell(self, breaker: CircuitBreaker, since: dt.datetime | None) -> dt.datetime:
        """Write how the breaker stands, and the calls since the last line; return the moment of it."""
        breaker.refresh_from_db()
        now = database_now()
        waiting, _oldest = backlogs("service").get(breaker.service_id, (0, None))
        words = ngettext(
            "%(at)s  %(service)s %(state)s, %(waiting)s waits",
            "%(at)s  %(service)s %(state)s, %(waiting)s wait",
            waiting,
        ) % {
            "at": f"{now.astimezone(ZoneInfo(settings.OPS_TIME_ZONE)):%H:%M:%S}",
            "service": breaker,
            "state": state_label(CircuitBreaker, breaker.status),
            "waiting": waiting,
        }
        self.stdout.write(words + (self._calls(breaker, since, now) if since else ""))
        self.stdout.flush()
        return now

    def _calls(self, breaker: CircuitBreaker, since: dt.datetime, now: dt.datetime) -> str:
        [made] = calls_in(breaker.service_id, [(since, now)])
        return ", " + _("%(made)s calls, %(failed)s failed") % {"made": made.made, "failed": made.failed}
