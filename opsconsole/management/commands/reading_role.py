from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import ProgrammingError
from django.utils.translation import gettext as _

from opsconsole.reading import ROLE, make_reader
from opsconsole.settings import secret

SHORTEST = 24


class Command(BaseCommand):
    help = (
        "Make the login opsconsole_reader for investigations in SQL, or give it a new password: it reads, and changes "
        "nothing. The password is taken from DATABASE_READER_PASSWORD_FILE."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        password = secret("DATABASE_READER_PASSWORD")
        if len(password) < SHORTEST:
            words = _(
                "Put a password of %(least)s characters or more into a file, and name it in DATABASE_READER_PASSWORD_FILE."
            )
            raise CommandError(words % {"least": SHORTEST})
        try:
            make_reader(password)
        except ProgrammingError as error:
            words = _("The database does not let this user make roles. docs/deploying.md has the SQL for whoever may.")
            raise CommandError(words) from error
        self.stdout.write(_("%s may read.") % ROLE)
