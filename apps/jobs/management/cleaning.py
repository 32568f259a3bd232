"""What the commands that delete share: they say what would go, ask, and leave a run with its counts."""

import datetime as dt
import sys
from argparse import ArgumentTypeError
from collections.abc import Sequence

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from apps.actions.management.terminal import REFUSED, whoever
from apps.actions.running import database_now
from apps.actions.verbs import Invalid, Refused
from apps.jobs import execution, retention
from apps.jobs.catalogue import Kept
from apps.jobs.models import JobRun, RetentionPolicy
from apps.jobs.models.retention import LONGEST_DAYS


def add_arguments(parser: CommandParser) -> None:
    """Take what all of these commands take."""
    parser.add_argument("--days", type=_days, help="older than so many days, instead of what the policies say")
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def purge_here(command: BaseCommand, slugs: Sequence[str], days: int | None, *, dry_run: bool, yes: bool) -> None:
    """Purge the rows of policies in this process, or say what would go (S3-43: a person confirms)."""
    chosen = _policies(slugs)
    if not dry_run and not yes:
        _ask(command, chosen, days)
    given = {"policies": list(slugs)} | ({"days": days} if days else {}) | ({"dry_run": True} if dry_run else {})
    run = retention.queue(given, whoever().name)
    ended = execution.run_here(run)
    run.refresh_from_db()
    _tell(command, chosen, run, dry_run)
    if ended != JobRun.Status.SUCCEEDED:
        raise CommandError(_why(run), returncode=REFUSED)


def _days(text: str) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= LONGEST_DAYS:
        return int(text)
    raise ArgumentTypeError(
        _("%(text)s is no number of days from 1 to %(most)s") % {"text": text, "most": LONGEST_DAYS}
    )


def _policies(slugs: Sequence[str]) -> list[tuple[Kept, RetentionPolicy]]:
    rows = RetentionPolicy.objects.in_bulk(list(slugs), field_name="slug")
    held = [row for row in rows.values() if row.status == RetentionPolicy.Status.HELD]
    if held:
        told = {"policy": held[0], "reason": held[0].held_reason}
        raise Refused(_("%(policy)s is held: %(reason)s. Release it first.") % told)
    return [(kept, rows[slug]) for slug, kept in retention.catalogue().items() if slug in rows]


def _ask(command: BaseCommand, chosen: Sequence[tuple[Kept, RetentionPolicy]], days: int | None) -> None:
    """Say what would go, and go on only where somebody says yes."""
    now = database_now()
    for kept, policy in chosen:
        found = retention.going(kept, now - dt.timedelta(days=days or retention.days_of(policy)))
        words = _("%(what)s: at least %(count)s would go.") if found.at_least else _("%(what)s: %(count)s would go.")
        command.stderr.write(words % {"what": kept.what, "count": found.count})
    if sys.stdin.isatty() and input(_("Delete them? [y/N] ")).strip().lower() in ("y", "yes", "s", "sim"):
        return
    raise CommandError(_("Nothing was deleted. Give --yes to delete without being asked."), returncode=REFUSED)


def _tell(command: BaseCommand, chosen: Sequence[tuple[Kept, RetentionPolicy]], run: JobRun, dry_run: bool) -> None:
    for kept, _policy in chosen:
        count, archived = run.counts.get(kept.slug, 0), run.counts.get(f"{kept.slug} archived", 0)
        if dry_run:
            count = run.counts.get(f"{kept.slug} would go", 0)
            command.stdout.write(_("%(what)s: %(count)s would go.") % {"what": kept.what, "count": count})
        else:
            words = _("%(what)s: %(count)s deleted, %(archived)s archived.")
            command.stdout.write(words % {"what": kept.what, "count": count, "archived": archived})
    command.stdout.write(_("Job run %(id)s.") % {"id": run.pk})


def _why(run: JobRun) -> str:
    if run.status == JobRun.Status.QUEUED:
        return _("Another purge is under way. This one waits for it, and a worker will do it.")
    return run.last_error or _("It did not end well: see the run.")


def require_known(slugs: Sequence[str]) -> None:
    """Raise `Invalid` where one of them is no policy."""
    unknown = [slug for slug in slugs if slug not in retention.catalogue()]
    if unknown:
        told = {"slug": unknown[0], "known": ", ".join(retention.catalogue())}
        raise Invalid(_("There is no retention policy %(slug)s; there are %(known)s.") % told)
