from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _

from apps.jobs.restoring import hold_as_restored
from opsconsole.restored import situation


class Command(BaseCommand):
    help = (
        "Pause everything because the database was restored. Needed only where a disk or a machine was put back as it "
        "was: any other restore is recognised by itself."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        hold_as_restored()
        self.stdout.write("\n".join(situation() or [_("Nothing is paused.")]))
