from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.translation import gettext as _

from apps.actions import running
from apps.actions.management.terminal import refusals, show, whoever
from apps.actions.selections import Selection
from apps.integrations.models import ApiKey


class Command(BaseCommand):
    help = (
        "Make the successor of an API key and print it, once. The old key stays open for a while and closes by itself."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--id", required=True)
        parser.add_argument("--until", help="when the old key closes, with its zone; without it in seven days")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            selection = Selection.ticked(ApiKey, [options["id"]])
            run = running.run(ApiKey.rotate, selection, whoever(), given={"until": options["until"]})
        show(self, run.shown_once)
        old = selection.rows().get()
        told = {"key": old, "at": old.expires_at.isoformat(timespec="minutes"), "id": run.pk}
        self.stderr.write(_("%(key)s closes at %(at)s. Action run %(id)s.") % told)
