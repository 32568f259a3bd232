from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.actions.management.terminal import refusals
from apps.jobs import archiving


class Command(BaseCommand):
    help = (
        "Put the rows of an archive back into their tables: all of them, or none. The file is checked against its "
        "manifest first, rows that are there already are refused, and its policy has to be held."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="a .jsonl.gz of the archive folder, with its manifest beside it")
        parser.add_argument("--dry-run", action="store_true", help="only check the file and say what it holds")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            found = archiving.read(options["file"])
            if options["dry_run"]:
                archiving.require_no_doubles(found)
            else:
                self._restore(found)
        words = (
            _("%(table)s: %(count)s rows would be restored.")
            if options["dry_run"]
            else _("%(table)s: %(count)s rows restored.")
        )
        for table, count in found.counts.items():
            self.stdout.write(words % {"table": table, "count": count})

    def _restore(self, found: archiving.Read) -> None:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = 0")
            archiving.restore(found)
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
