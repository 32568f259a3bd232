from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.actions.management.terminal import refusals, whoever
from apps.integrations.configuration import import_endpoints
from apps.integrations.management.files import add_arguments, content, tell


class Command(BaseCommand):
    help = "Put the endpoints of a file in force that `export_endpoints` wrote, all or none."

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            changes = import_endpoints(content(options["file"]), whoever(), dry_run=options["dry_run"])
        tell(self.stdout, changes, dry_run=options["dry_run"])
