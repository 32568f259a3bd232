"""How the commands read a file of configuration, and how they tell what became of it."""

import sys
from collections.abc import Sequence
from pathlib import Path

from django.core.management.base import CommandParser, OutputWrapper
from django.utils.translation import gettext as _

from apps.actions.verbs import Invalid
from apps.integrations.configuration import Change

LARGEST = 50 * 1024 * 1024


def add_arguments(parser: CommandParser) -> None:
    """Add what every import is asked."""
    parser.add_argument("file", help="a file, or - for standard input")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")


def content(name: str) -> bytes:
    """Return what stands in a file; `Invalid` where it cannot be read or is too large."""
    try:
        with sys.stdin.buffer if name == "-" else Path(name).open("rb") as file:
            found = file.read(LARGEST + 1)
    except OSError as error:
        raise Invalid(_("%(name)s cannot be read: %(why)s.") % {"name": name, "why": error.strerror}) from error
    if len(found) > LARGEST:
        raise Invalid(_("%(name)s is larger than 50 MB.") % {"name": name})
    return found


def tell(stdout: OutputWrapper, changes: Sequence[Change], *, dry_run: bool) -> None:
    """Show each endpoint that is made (+) or changed (~), and how many stay as they are."""
    moved = [change for change in changes if change.made or change.told]
    for change in moved:
        stdout.write(f"{'+' if change.made else '~'} {change.endpoint}")
        for line in change.told:
            stdout.write(f"    {line}")
    words = _("%(moved)s would change, %(same)s stay as they are. Nothing was changed.")
    if not dry_run:
        words = _("%(moved)s changed, %(same)s stay as they are.")
    stdout.write(words % {"moved": len(moved), "same": len(changes) - len(moved)})
