from typing import Any

from django.core.management.base import BaseCommand

from apps.integrations.configuration import exported_mappings


class Command(BaseCommand):
    help = "Write all mappings as JSON to standard output: `export_mappings > mappings_backup.json` (S1-97)."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(exported_mappings(), ending="")
