from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.translation import gettext as _

from apps.actions import running
from apps.actions.management.terminal import refusals, whoever
from apps.actions.selections import Selection
from apps.integrations.models import ApiKey


class Command(BaseCommand):
    help = "Close an API key at once and for good."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--id", required=True)
        parser.add_argument("--reason", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            selection = Selection.ticked(ApiKey, [options["id"]])
            run = running.run(ApiKey.revoke, selection, whoever(), given={"reason": options["reason"]})
        told = {"key": selection.rows().get(), "id": run.pk}
        self.stdout.write(_("%(key)s opens nothing any more. Action run %(id)s.") % told)
