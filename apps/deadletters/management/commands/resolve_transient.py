from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from apps.actions.running import database_now
from apps.deadletters.models import TransientRule


class Command(BaseCommand):
    help = (
        "Resolve the unresolved dead letters that the rule calls transient: runbook 4's resolve-transient. "
        "Exits as ops does: 0 when all were resolved, 1 when some were refused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say how many they are")
        parser.add_argument("--note", default="", help="kept in the history of every row")

    def handle(self, *args: Any, **options: Any) -> None:
        words = TransientRule.current().filters(database_now())
        asked = [f"{word}={value}" for word, value in words.items()]
        flags = [
            *(["--dry-run"] if options["dry_run"] else []),
            *(["--note", options["note"]] if options["note"] else []),
        ]
        call_command(
            "ops", "resolve", "dead-letters", "--filter", *asked, *flags, stdout=self.stdout, stderr=self.stderr
        )
