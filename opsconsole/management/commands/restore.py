import sys
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from apps.actions import installations
from apps.jobs.restoring import hold_as_restored
from opsconsole.backups import BackupError, Manifest, checked, database_up, restore
from opsconsole.restored import situation


class Command(BaseCommand):
    help = (
        "Put the backup FILE in the place of everything in the database. Stop web, workers and beat first. Afterwards "
        "everything is paused, and what may already have been sent is listed."
    )
    requires_system_checks = []  # what stands in the database now does not matter

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--yes", action="store_true", help="do not ask before everything is replaced")

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"].absolute()
        try:
            manifest = checked(file)
            self._second_look(manifest, options["yes"])
            with database_up():
                restore(file)
                call_command("migrate", interactive=False, verbosity=0)
                if not installations.restored_here():  # a backup from before restores were recognised
                    hold_as_restored()
                self.stdout.write("\n".join(situation()))
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from error

    def _second_look(self, manifest: Manifest, sure: bool) -> None:
        if sure or not sys.stdin.isatty():
            return
        told = {"at": manifest.made_at, "version": manifest.version}
        self.stdout.write(
            _("Everything in the database gives way to the backup of %(at)s (version %(version)s).") % told
        )
        if input(_("Go on? [y/N] ")).strip().lower() not in ("y", "yes", "s", "sim"):
            raise BackupError(_("Nothing was done."))
