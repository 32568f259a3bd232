from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from opsconsole.backups import BackupError, back_up, database_up


class Command(BaseCommand):
    help = "Write the whole database to FILE, and what it is to FILE.json. Work goes on meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with database_up():
                manifest = back_up(options["file"].absolute())
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from error
        told = {"file": options["file"], "bytes": manifest.bytes, "sha256": manifest.sha256}
        self.stdout.write(_("%(file)s: %(bytes)s bytes, sha256 %(sha256)s") % told)
