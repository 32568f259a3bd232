from typing import Any

from django.core.management.base import BaseCommand, CommandError

from opsconsole.datafolder import DataFolderError
from opsconsole.development import DevelopmentError, up
from opsconsole.embedded import EmbeddedError


class Command(BaseCommand):
    help = "Run everything on this machine: servers, web, worker, beat and the simulator. `make run` calls it."
    requires_system_checks = []  # they would want the database, which is not up yet

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            up(lambda line: (self.stdout.write(line), self.stdout.flush()))
        except (DataFolderError, DevelopmentError, EmbeddedError) as error:
            raise CommandError(str(error)) from error
