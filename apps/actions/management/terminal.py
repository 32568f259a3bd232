"""What all commands share: who runs them, how they refuse, and how they show how far they are."""

import getpass
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.core.management.base import BaseCommand, CommandError, OutputWrapper
from django.utils.translation import gettext as _

from apps.actions.actors import Actor
from apps.actions.shown import Shown
from apps.actions.verbs import Invalid, NotFound, Refused

REFUSED, WRONGLY_ASKED = 1, 2
"""Exit codes: the rows or the actor stand against it; the asking itself is wrong."""
BAR = 30


def whoever() -> Actor:
    """Return the actor for whoever runs this command: the account of the machine. It holds the database already."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        name = f"uid {os.getuid()}"
    return Actor.command(name)


@contextmanager
def refusals() -> Iterator[None]:
    """End the command with the refusal's own sentence and an exit code."""
    try:
        yield
    except (Invalid, NotFound) as error:
        raise CommandError(str(error), returncode=WRONGLY_ASKED) from error
    except Refused as error:
        raise CommandError(str(error), returncode=REFUSED) from error


def show(command: BaseCommand, shown: Sequence[Shown]) -> None:
    """Print secrets that are shown once: each alone on its line of the output, and what it is beside it."""
    for each in shown:
        command.stderr.write(_("%(what)s. Keep it now: it cannot be shown again.") % {"what": each.label})
        command.stdout.write(each.text)


class Bar:
    """A line that shows how far a command is: drawn over itself on a terminal, left out elsewhere."""

    def __init__(self, stream: OutputWrapper, total: int) -> None:
        self.stream = stream
        self.total = total

    def show(self, done: int) -> None:
        """Draw the line anew."""
        if self.stream.isatty():
            full = BAR * done // max(self.total, 1)
            line = f"\r[{'#' * full}{'.' * (BAR - full)}] {done:,} / {self.total:,} "
            self.stream.write(line, ending="")
            self.stream.flush()

    def end(self) -> None:
        """Go on below the line."""
        if self.stream.isatty():
            self.stream.write("")
