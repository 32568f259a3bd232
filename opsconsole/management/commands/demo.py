import signal
import threading
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from opsconsole.demo import company, far_end, seeding, traffic


class Command(BaseCommand):
    help = "Make the demo company on an empty database, once; or, with --traffic, let it work until it is stopped."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--traffic", action="store_true", help="Hand in a few operations a second.")

    def handle(self, *args: Any, traffic: bool = False, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError(_("The demo company is for development; OPS_ENV=production is set."))
        if not settings.SIMULATOR_URL:
            raise CommandError(_("The demo company needs the simulator: use `make run`, or set OPS_SIMULATOR_URL."))
        self._work() if traffic else self._make()

    def _make(self) -> None:
        if seeding.stands():
            company.follow_the_simulator()
            self.stdout.write(_("The database is in use already; nothing was added."))
            return
        began = time.monotonic()
        try:
            seeding.seed()
        except far_end.Away as error:
            raise CommandError(str(error)) from error
        self.stdout.write(_("The demo company was made in %(seconds).1f s.") % {"seconds": time.monotonic() - began})

    def _work(self) -> None:
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_signal: stopped.set())
        traffic.keep_busy(stopped)
