from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.translation import gettext as _

from apps.actions.management.terminal import refusals
from apps.actions.verbs import Invalid
from apps.jobs.management import cleaning

ARCHIVED = ("archived-events", "archived-operations", "archived-dead-letters")


class Command(BaseCommand):
    help = (
        "Delete archived dead letters and the events and operations that they speak of. Says what would go, and asks."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        cleaning.add_arguments(parser)
        parser.add_argument("--archived", action="store_true", help="must be given: nothing else is ever deleted")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            if not options["archived"]:
                raise Invalid(_("Only archived dead letters are deleted: say --archived. Others wait for a person."))
            cleaning.purge_here(self, ARCHIVED, options["days"], dry_run=options["dry_run"], yes=options["yes"])
