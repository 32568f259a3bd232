from typing import Any

from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from apps.actions.selections import closest
from apps.integrations import keys


class Command(BaseCommand):
    help = "Make an API key and print it, once. It acts with the permissions of a group."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="the system that will show it")
        parser.add_argument("--group", required=True, help="Viewer, Operator, Supervisor, or a group of your own")

    def handle(self, *args: Any, **options: Any) -> None:
        key, plain = keys.make(_name(options["name"]), _group(options["group"]))
        told = {"name": key.name, "group": key.group, "id": key.pk}
        self.stderr.write(_("Key of %(name)s with the permissions of %(group)s, id %(id)s.") % told)
        self.stderr.write(_("Keep it now: it cannot be shown again."))
        self.stdout.write(plain)


def _name(name: str) -> str:
    if not 1 <= len(name.strip()) <= 120:
        raise CommandError(_("A key's name takes 1 to 120 characters."), returncode=2)
    return name.strip()


def _group(name: str) -> Group:
    found = Group.objects.filter(name__iexact=name).first()
    if found is None:
        known = list(Group.objects.values_list("name", flat=True))
        hint = closest(name, known)
        raise CommandError(_("There is no group %(name)s; %(hint)s") % {"name": name, "hint": hint}, returncode=2)
    return found
