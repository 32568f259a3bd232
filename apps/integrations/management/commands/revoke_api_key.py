import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from apps.actions import running
from apps.actions.management.terminal import REFUSED, refusals, whoever
from apps.actions.selections import Selection
from apps.integrations.models import ApiKey


class Command(BaseCommand):
    help = "Close an API key at once and for good. One that was used in the last 30 days is closed only with --yes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--id", required=True)
        parser.add_argument("--reason", default="", help="why; kept in the history")
        parser.add_argument("--yes", action="store_true", help="close it though systems still use it")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            selection = Selection.ticked(ApiKey, [options["id"]])
            self._second_look(running.preview(ApiKey.revoke, selection, whoever()).effects, options["yes"])
            given = {"reason": options["reason"] or _("no reason given")}
            run = running.run(ApiKey.revoke, selection, whoever(), given=given)
        told = {"key": selection.rows().get(), "id": run.pk}
        self.stdout.write(_("%(key)s opens nothing any more. Action run %(id)s.") % told)

    def _second_look(self, still_used: list[str], sure: bool) -> None:
        """Bring the systems to mind that would be turned away (S1-90: only once they are updated)."""
        for sentence in still_used:
            self.stderr.write(sentence)
        if not still_used or sure:
            return
        if sys.stdin.isatty() and input(_("Go on? [y/N] ")).strip().lower() in ("y", "yes", "s", "sim"):
            return
        words = _("Nothing was done. Update these systems first, or close the key all the same with --yes.")
        raise CommandError(words, returncode=REFUSED)
