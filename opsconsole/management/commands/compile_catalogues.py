from typing import Any

from django.core.management.base import BaseCommand

from opsconsole.translations import compile_catalogues


class Command(BaseCommand):
    help = "Compile the message catalogues that have changed."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        for language in compile_catalogues():
            self.stdout.write(f"Compiled {language}")
