from typing import Any

from django.core.management.base import BaseCommand

from apps.integrations.configuration import exported_endpoints


class Command(BaseCommand):
    help = "Write all endpoints as JSON to standard output: `export_endpoints > endpoints_backup.json` (S1-98)."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(exported_endpoints(), ending="")
