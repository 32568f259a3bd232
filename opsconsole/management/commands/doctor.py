import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _

from opsconsole import doctor, vitals
from opsconsole.doctor import Diagnosis

MARKS = {vitals.OK: "ok     ", vitals.WARNING: "WARNING", vitals.ERROR: "ERROR  "}


class Command(BaseCommand):
    help = "Examine this installation and say what to do. Exit code 0: in order, 1: warnings, 2: errors."
    requires_system_checks: list[str] = []  # they are one of the findings

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print the findings for programs.")

    def handle(self, *args: Any, json: bool = False, **options: Any) -> None:
        found = list(doctor.examine())
        self.stdout.write(_as_json(found)) if json else self._tell(found)
        if code := doctor.worst(found):
            raise SystemExit(code)

    def _tell(self, found: list[Diagnosis]) -> None:
        for diagnosis in found:
            told = diagnosis.found
            self.stdout.write(f"{MARKS[told.status]}  {diagnosis.name}" + (f": {told.message}" if told.message else ""))
        if not doctor.worst(found):
            self.stdout.write(_("Everything is in order."))


def _as_json(found: list[Diagnosis]) -> str:
    told = [{"name": diagnosis.name, **diagnosis.found.body} for diagnosis in found]
    return json.dumps(told, indent=2, default=str)
