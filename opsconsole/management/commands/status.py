import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.translation import gettext as _

from apps.deadletters.models import DeadLetter
from apps.integrations.models import CircuitBreaker
from apps.operations.backlog import counts
from opsconsole import picture, vitals
from opsconsole.vitals import Picture

MARKS = {vitals.OK: "ok  ", vitals.WARNING: "LOOK", vitals.ERROR: "BAD "}


class Command(BaseCommand):
    help = "Show how everything stands, as the health page does. Exit code 1 where something is wrong."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print what GET /health/detailed answers.")

    def handle(self, *args: Any, json: bool = False, **options: Any) -> None:
        now = vitals.picture()
        if json:
            self.stdout.write(_as_json(now))
        else:
            self._tell(now)
        if now.status != vitals.OK:
            raise SystemExit(1)

    def _tell(self, now: Picture) -> None:
        self.stdout.write(picture.headline(now)["words"])
        for name, found in now.checks.items():
            facts = ", ".join(f"{label} {value}" for label, value in picture.facts(found.told))
            self.stdout.write(f"  {MARKS[found.status]} {vitals.CHECKS[name].title}: {facts}")
            if found.message:
                self.stdout.write(f"       {found.message}")
        answers = vitals.at_once({"work": _work})
        if not isinstance(answers["work"], Exception):
            self.stdout.write(answers["work"])


def _work() -> str:
    """Say in a line how the work goes."""
    waiting = DeadLetter.objects.filter(status__in=[DeadLetter.Status.UNRESOLVED, DeadLetter.Status.RETRYING]).count()
    held = CircuitBreaker.objects.exclude(status=CircuitBreaker.Status.CLOSED).select_related("service")
    told = counts() | {"letters": waiting, "held": ", ".join(breaker.service.slug for breaker in held) or _("none")}
    return (
        _(
            "Operations: %(pending)s pending, %(processing)s processing, %(failed)s failed. "
            "Dead letters that wait: %(letters)s. Breakers that are not closed: %(held)s."
        )
        % told
    )


def _as_json(now: Picture) -> str:
    return json.dumps(now.body, indent=2, cls=DjangoJSONEncoder)
