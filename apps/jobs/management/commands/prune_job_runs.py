from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.actions.management.terminal import refusals
from apps.jobs.management import cleaning


class Command(BaseCommand):
    help = (
        "Delete job runs older than their policy says (RETENTION_DAYS_JOBRUN where it is set), or than --days. What "
        "failed and is not settled stays, and so does each job's last success. Says what would go, and asks."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        cleaning.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            cleaning.purge_here(self, ["job-runs"], options["days"], dry_run=options["dry_run"], yes=options["yes"])
