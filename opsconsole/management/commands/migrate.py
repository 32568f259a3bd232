import random
import time
from typing import Any

from django.core.management.commands import migrate
from django.db import OperationalError, connection
from django.utils.translation import gettext as _

from apps.actions.running import DEADLOCK, LOCK_TIMEOUT
from apps.jobs.restoring import hold_if_restored
from opsconsole.reading import grant_if_there

ATTEMPTS = 60
LOCK_WAIT = "1500ms"
"""What comes after us waits behind us, and has two seconds itself: we give way before anybody is refused."""
LONGEST_WAIT_SECONDS = 3.0
HALF_BUILT = """
SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE NOT indisvalid AND relnamespace = 'public'::regnamespace AND relname !~ '_cc(new|old)[0-9]*$'
"""


class Command(migrate.Command):
    help = (
        "Bring the database's tables up to date while work goes on: no lock is waited for longer than 1.5 seconds, then "
        "others go first and it is tried again (R27)."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._migrate(*args, **options)
            except OperationalError as error:
                # A deadlock: others hold the next table of ours and want one that we have.
                if getattr(error.__cause__, "sqlstate", None) not in (DEADLOCK, LOCK_TIMEOUT) or attempt == ATTEMPTS:
                    raise
                self._let_others_go_first(attempt)
            else:
                break
        if not (options["app_label"] or options["plan"] or options["check_unapplied"]):
            hold_if_restored()
            grant_if_there()

    def _migrate(self, *args: Any, **options: Any) -> None:
        with connection.cursor() as cursor:
            # A change of many rows or a new index may take its time; a lock that others wait behind may not.
            cursor.execute("SET statement_timeout = 0")
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [LOCK_WAIT])
        super().handle(*args, **options)
        with connection.cursor() as cursor:
            cursor.execute("RESET statement_timeout")
            cursor.execute("RESET lock_timeout")

    def _let_others_go_first(self, attempt: int) -> None:
        told = {"attempt": attempt, "most": ATTEMPTS}
        self.stdout.write(
            _("A table is in use: others go first, then it is tried again (%(attempt)s of %(most)s).") % told
        )
        with connection.cursor() as cursor:
            # An index that was being built beside the work and gave way: it is built anew, and its name must be free.
            cursor.execute(HALF_BUILT)
            for (name,) in cursor.fetchall():
                cursor.execute(f"DROP INDEX {name}")  # quoted by regclass
        time.sleep(random.uniform(0.2, LONGEST_WAIT_SECONDS))  # noqa: S311 # spreads those that wait
