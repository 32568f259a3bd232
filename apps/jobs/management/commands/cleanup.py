from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.actions.management.terminal import refusals
from apps.jobs.management import cleaning
from apps.jobs.retention import catalogue

EVENTS = ("processed-events",)
"""What runbook 1 means by a clean-up with days (S1-94)."""


class Command(BaseCommand):
    help = (
        "Delete what is older than its retention policy says; with --days, the processed events older than that, or "
        "what --only names. Says what would go, and asks. Exits 1 where it did not end well."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        cleaning.add_arguments(parser)
        parser.add_argument("--only", nargs="+", default=[], metavar="POLICY", help="only the rows of these policies")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            cleaning.require_known(options["only"])
            wanted = options["only"] or (EVENTS if options["days"] else list(catalogue()))
            cleaning.purge_here(self, wanted, options["days"], dry_run=options["dry_run"], yes=options["yes"])
