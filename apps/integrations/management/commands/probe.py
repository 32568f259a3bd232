from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.translation import gettext as _

from apps.actions import running
from apps.actions.management.terminal import REFUSED, refusals, whoever
from apps.actions.selections import Selection
from apps.integrations import probing
from apps.integrations.models import Service
from apps.integrations.names import named_service


class Command(BaseCommand):
    help = "Make one harmless call to a service: is it reachable, is our token valid? Exits 1 where it is not."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("service", help="piperun, …")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            service = named_service(options["service"])
            running.run(Service.probe, Selection.ticked(Service, [service.pk]), whoever())
        probing.answer_asked()
        service.refresh_from_db()
        told = {"service": service, "ms": service.probe_ms, "said": service.probe_said}
        self.stdout.write(_("%(service)s: %(said)s (%(ms)s ms)") % told)
        if not service.probe_ok:
            raise SystemExit(REFUSED)
