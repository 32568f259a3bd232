import datetime as dt
import re
from typing import Any

from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import make_aware
from django.utils.translation import gettext as _

from apps.actions.management.terminal import WRONGLY_ASKED, refusals, show
from apps.actions.running import database_now
from apps.actions.selections import closest
from apps.actions.shown import Shown
from apps.integrations import keys


class Command(BaseCommand):
    help = "Make an API key and print it, once. It acts with the permissions of a group, as far as its scopes let it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="the system that will show it")
        parser.add_argument(
            "--group", default="Operator", help="Viewer, Operator (unless named), Supervisor, or your own"
        )
        parser.add_argument(
            "--scope",
            action="append",
            default=[],
            metavar="NOUN:VERB",
            help="only this of it, such as pending-operations:add or *:view; may be given several times",
        )
        parser.add_argument("--expires", metavar="WHEN", help="90d, 2026-12-31 or 2026-12-31T18:00:00-03:00")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            key, plain = keys.make(
                options["name"],
                _group(options["group"]),
                scopes=options["scope"],
                expires_at=_moment(options["expires"]) if options["expires"] else None,
            )
        told = {"key": key, "group": key.group, "id": key.pk}
        show(self, [Shown(_("Key %(key)s with the permissions of %(group)s, id %(id)s") % told, plain)])


def _group(name: str) -> Group:
    found = Group.objects.filter(name__iexact=name).first()
    if found is None:
        known = list(Group.objects.values_list("name", flat=True))
        told = {"name": name, "hint": closest(name, known)}
        raise CommandError(_("There is no group %(name)s; %(hint)s") % told, returncode=WRONGLY_ASKED)
    return found


def _moment(text: str) -> dt.datetime:
    try:
        if days := re.fullmatch(r"(\d{1,4})d", text):
            return database_now() + dt.timedelta(days=int(days[1]))
        day = parse_date(text)
        moment = dt.datetime(day.year, day.month, day.day) if day else parse_datetime(text)  # noqa: DTZ001 # the zone follows
    except ValueError:
        moment = None
    if moment is None:
        words = _("--expires takes 90d, 2026-12-31 or 2026-12-31T18:00:00-03:00; %(text)s is neither.") % {"text": text}
        raise CommandError(words, returncode=WRONGLY_ASKED)
    return moment if moment.tzinfo else make_aware(moment)
