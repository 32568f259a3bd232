import getpass
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from apps.actions.management.terminal import WRONGLY_ASKED, refusals
from apps.actions.selections import closest
from apps.actions.verbs import Invalid
from apps.integrations.credentials import file_of
from apps.integrations.models import Service
from apps.integrations.names import named_service


class Command(BaseCommand):
    help = (
        "Write a service's credential to its secret file, readable by the owner only. It is read from the terminal "
        "without being shown, or from standard input; never from the command line. No restart is needed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("service", help="piperun, …")
        parser.add_argument("--name", default="", help="which of its credentials, where it has several")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            service = named_service(options["service"])
            name = _name(service, options["name"])
        path = file_of(name)
        _write(path, _secret(name))
        told = {"name": name, "path": path, "service": service}
        self.stdout.write(_("%(name)s stands in %(path)s now and is used from the next call on.") % told)
        self.stdout.write(_("Now see whether it is taken: manage.py probe %(service)s") % told)


def _name(service: Service, word: str) -> str:
    """Return the name under which a service's credential stands."""
    known: dict[str, str] = service.credentials
    if not known:
        raise Invalid(_("%(service)s names no credential. Name one on its page first.") % {"service": service})
    if not word and len(known) == 1:
        return next(iter(known.values()))
    if word not in known:
        hint = closest(word, list(known))
        raise Invalid(
            _("%(service)s has no credential '%(word)s'; %(hint)s") % {"service": service, "word": word, "hint": hint}
        )
    return known[word]


def _secret(name: str) -> str:
    asked = _("%(name)s (it is not shown): ") % {"name": name}
    secret = (getpass.getpass(asked) if sys.stdin.isatty() else sys.stdin.read()).strip()
    if not secret or not secret.isprintable():
        raise CommandError(_("That is no secret: it is empty, or holds more than one line."), returncode=WRONGLY_ASKED)
    return secret


def _write(path: Path, secret: str) -> None:
    """Put the secret in its place at once and whole: a reader finds the old one or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)  # readable by the owner only
    with os.fdopen(handle, "w") as file:
        file.write(secret + "\n")
    os.replace(name, path)
