import json
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.translation import gettext as _

from apps.actions.management.terminal import REFUSED, refusals, whoever
from apps.actions.verbs import Invalid
from apps.jobs import execution, scheduling
from apps.jobs.models import JobRun


class Command(BaseCommand):
    help = (
        "Run a job now, off schedule: `run_job sync-crm-operacao --tenant acme` (S1-62, S3-36). It is carried out here, "
        "without a worker. Exits 0 when every run succeeded, 1 when one failed or has to wait, 2 when the asking is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("job", help="the job's short name")
        parser.add_argument("--tenant", default="", help="only for this tenant; left out, for all that it is run for")
        parser.add_argument("--given", default="{}", metavar="JSON", help="what the job is told beyond that")
        parser.add_argument("--queue", action="store_true", help="leave it to the workers")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            given = _given(options["given"])
            runs = scheduling.run_now(options["job"], whoever(), tenant=options["tenant"], given=given)
        ends = Counter("queued" if options["queue"] else self._carried_out(run) for run in runs)
        self.stdout.write(
            ", ".join(f"{count} {end}" for end, count in sorted(ends.items())) or _("Nobody to run it for.")
        )
        if not set(ends) <= {"queued", "succeeded"}:
            raise SystemExit(REFUSED)

    def _carried_out(self, run: JobRun) -> str:
        end = execution.run_here(run)
        run.refresh_from_db()
        self.stdout.write(f"{run}: {end} {json.dumps(run.counts)}")
        if run.last_error:
            self.stderr.write(run.last_error)
        return end


def _given(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except ValueError as error:
        raise Invalid(_("--given is no JSON: %(why)s") % {"why": error}) from error
    if not isinstance(given, dict):
        raise Invalid(_('--given takes an object, such as {"dry_run": true}.'))
    return given
