import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from apps.actions.management.terminal import REFUSED
from apps.jobs.fingerprints import SECRETS, differing, held
from apps.jobs.models.process import live

LOOK_SECONDS = 1.0


class Command(BaseCommand):
    help = (
        "After a secret was rotated: does every process that lives hold the one that the environment names now? Exits 0 "
        "only then. No secret is shown, nor stored."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--wait", type=float, default=0, metavar="SECONDS", help="look again for so long")

    def handle(self, *args: Any, **options: Any) -> None:
        ends = time.monotonic() + options["wait"]
        while (found := _looked_at()) and any(older for _name, older in found) and time.monotonic() < ends:
            time.sleep(LOOK_SECONDS)
        if not found:
            words = _("No process of the console runs, so none has taken anything. Start it, and ask again.")
            raise CommandError(words, returncode=REFUSED)
        for name, older in found:
            names = ", ".join(str(SECRETS[each]) for each in older)
            self.stdout.write(f"{name:<40}" + (_("holds an older one: %s") % names if older else _("has taken all")))
        behind = [name for name, older in found if older]
        if behind:
            words = _("Restart these, and ask again: %s.")
            raise CommandError(words % ", ".join(behind), returncode=REFUSED)
        self.stdout.write(_("Every process holds the secrets that the environment names."))


def _looked_at() -> list[tuple[str, list[str]]]:
    """Return each live process, and the secrets that it holds in another version than this environment names."""
    wanted = held()
    return [(f"{row.kind} {row}", differing(row.secrets, wanted)) for row in live()]
