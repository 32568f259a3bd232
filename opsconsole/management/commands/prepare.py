import json
import os
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand

from opsconsole.sign_in import sign_in_path
from opsconsole.translations import compile_catalogues


class Command(BaseCommand):
    help = "Bring database, static files and demo company up to date, and print a one-time sign-in. `up` calls it."

    def handle(self, *args: Any, **options: Any) -> None:
        compile_catalogues()
        call_command("migrate", interactive=False, verbosity=0)
        compile_catalogues()
        _collect_static()
        admin, password = _admin()
        if "demo" in get_commands():
            call_command("demo", stdout=self.stderr)
        words = {"link": sign_in_path(admin), "name": admin.username, "password": password}
        self.stdout.write(json.dumps(words))


def _collect_static() -> None:
    """Collect the static files if one changed since; it takes seconds, and most starts change none."""
    collected = settings.DATA_DIR / "static.digest"
    digest = _static_digest()
    if not collected.exists() or collected.read_text() != digest:
        call_command("collectstatic", interactive=False, verbosity=0)
        collected.write_text(digest)


def _static_digest() -> str:
    files = ((path, storage.path(path)) for finder in get_finders() for path, storage in finder.list([]))
    return sha256(repr(sorted((path, _seen(file)) for path, file in files)).encode()).hexdigest()


def _seen(file: str) -> tuple[int, int]:
    stat = os.stat(file)
    return stat.st_size, stat.st_mtime_ns


def _admin() -> tuple[User, str]:
    """Return the administrator, made at the first start, and what to say of the password."""
    password = (settings.DATA_DIR / "admin-password").read_text().strip()
    admin = User.objects.filter(username="admin").first()
    if admin is None:
        return User.objects.create_superuser("admin", password=password), password
    return admin, password if admin.check_password(password) else "as you changed it"
