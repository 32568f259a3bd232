"""Is this installation sound? Each finding says what is wrong and what to do (`manage.py doctor`)."""

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core import checks
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _

from apps.actions.permissions import GROUPS
from apps.actions.verbs import nouns, verbs_of
from apps.integrations.credentials import credential
from apps.integrations.models import EventSource, Service
from opsconsole import slow_database, vitals
from opsconsole.vitals import ERROR, OK, WARNING, Finding

CLOCK_SECONDS = 5
PATIENCE_SECONDS = 15.0
SHORTEST_SECRET = 50
OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Diagnosis:
    """What an examination found, under its name."""

    name: str
    found: Finding


def examine() -> Iterator[Diagnosis]:
    """Examine everything, in order; what cannot be examined is a finding, too."""
    for name, look in EXAMINATIONS.items():
        yield Diagnosis(name, _looked(look))
    for name, found in vitals.picture().checks.items():
        yield Diagnosis(name, found)


def worst(diagnoses: list[Diagnosis]) -> int:
    """Return the exit code: 0 where all is in order, 1 for a warning, 2 for an error."""
    return max((CODES[diagnosis.found.status] for diagnosis in diagnoses), default=0)


CODES = {OK: 0, WARNING: 1, ERROR: 2}


def _looked(look: Callable[[], Finding]) -> Finding:
    answer: Any = vitals.at_once({"": look}, seconds=PATIENCE_SECONDS)[""]
    return answer if isinstance(answer, Finding) else Finding(ERROR, message=vitals.why(answer))


def configuration() -> Finding:
    """Django's own checks and ours, those of a deployment too."""
    found = [
        message
        for message in checks.run_checks(include_deployment_checks=settings.PRODUCTION)
        if not message.is_silenced()
    ]
    grave = [message for message in found if message.level >= checks.ERROR]
    told = "; ".join(f"{message.id}: {message.msg}" for message in (grave or found)[:5])
    if grave:
        return Finding(ERROR, message=told)
    return Finding(WARNING, message=told) if found else Finding(OK)


def secrets() -> Finding:
    """Our own secrets: there, long enough, and in files that only we read."""
    if len(settings.SECRET_KEY) < SHORTEST_SECRET:
        words = _(
            "SECRET_KEY has %(length)s characters. Make one with `make secrets` and name its file in SECRET_KEY_FILE."
        )
        return Finding(ERROR, message=words % {"length": len(settings.SECRET_KEY)})
    if settings.API_KEY_PEPPER == settings.SECRET_KEY:
        words = _(
            "API_KEY_PEPPER is not set, so every API key dies with SECRET_KEY. Give it a secret of its own before you make keys."
        )
        return Finding(WARNING, message=words)
    return Finding(OK)


def credentials() -> Finding:
    """The secrets that services and event sources name: whether they are there to be read."""
    named = [
        (row.slug, name)
        for model in (Service, EventSource)
        for row in model.objects.all()
        for name in row.credentials.values()
    ]
    lacking = sorted({f"{name} ({slug})" for slug, name in named if name and not credential(str(name)).value})
    words = _("Not set: %(names)s. Put them in the environment or in secret files: manage.py set_credential.")
    return (
        Finding(WARNING, message=words % {"names": ", ".join(lacking[:10])})
        if lacking
        else Finding(OK, {"total": len(named)})
    )


def migrations() -> Finding:
    """Whether the database is as this version wants it."""
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    words = _("%(count)s migrations are not applied. Run: manage.py migrate")
    return Finding(ERROR, message=words % {"count": len(waiting)}) if waiting else Finding(OK)


def clock() -> Finding:
    """How far this machine's clock is from the database's, which decides."""
    ahead = float(vitals.database().told["clock_ahead_seconds"])
    words = _(
        "This machine's clock and the database's are %(seconds)s s apart. Set both by NTP: times on pages and in logs will not agree."
    )
    found = {"clock_ahead_seconds": ahead}
    return (
        Finding(WARNING, found, words % {"seconds": abs(ahead)}) if abs(ahead) > CLOCK_SECONDS else Finding(OK, found)
    )


def zones() -> Finding:
    """Whether Python and the database know the staff's time zone."""
    try:
        ZoneInfo(settings.OPS_TIME_ZONE)
    except (ZoneInfoNotFoundError, ValueError):
        words = _("Python does not know the time zone %(zone)s. Install tzdata, or mend OPS_TIME_ZONE.")
        return Finding(ERROR, message=words % {"zone": settings.OPS_TIME_ZONE})
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_timezone_names WHERE name = %s", [settings.OPS_TIME_ZONE])
        [known] = cursor.fetchone()
    words = _("The database does not know the time zone %(zone)s. Bring its time zone data up to date.")
    return Finding(OK) if known else Finding(ERROR, message=words % {"zone": settings.OPS_TIME_ZONE})


def static_files() -> Finding:
    """Whether the style sheets and scripts of this version were collected."""
    try:
        url = staticfiles_storage.url("console/console.css")
    except ValueError:
        url = ""
    there = bool(url) and (Path(settings.STATIC_ROOT) / url.removeprefix(staticfiles_storage.url(""))).exists()
    words = _("The static files of this version are not in %(folder)s. Run: manage.py collectstatic")
    return Finding(OK) if there else Finding(WARNING, message=words % {"folder": settings.STATIC_ROOT})


def data_folder() -> Finding:
    """Whether the data folder is there and ours alone."""
    folder = Path(settings.DATA_DIR)
    if not folder.is_dir():
        words = _("The data folder %(folder)s is not there. Make it, or name another one in OPS_DATA_DIR.")
        return Finding(WARNING, message=words % {"folder": folder})
    if folder.stat().st_mode & OPEN_TO_OTHERS:
        words = _("Other users of this machine may enter the data folder %(folder)s. Run: chmod 700 %(folder)s")
        return Finding(WARNING, message=words % {"folder": folder})
    return Finding(OK)


def people() -> Finding:
    """Whether the groups and permissions of this version are there, and somebody who may do everything."""
    lacking = [name for name in GROUPS if not Group.objects.filter(name=name).exists()]
    wanted = {verb.permission for noun in nouns() for verb in verbs_of(noun).values()}
    held = {f"{app}.{code}" for app, code in Group.objects.filter(name=GROUPS[-1]).values_list(*HELD)}
    if lacking or not wanted & held:
        words = _("The groups or permissions of this version are missing. Run: manage.py migrate")
        return Finding(ERROR, message=words)
    if not User.objects.filter(is_active=True, is_superuser=True).exists():
        return Finding(WARNING, message=_("Nobody is a superuser. Run: manage.py createsuperuser"))
    return Finding(OK)


def statements() -> Finding:
    """Whether the database counts its statements, so that slow ones can be found."""
    lacking = slow_database.how_to_count()
    return Finding(WARNING, message=lacking) if lacking else Finding(OK)


HELD = ("permissions__content_type__app_label", "permissions__codename")
EXAMINATIONS: dict[str, Callable[[], Finding]] = {
    "configuration": configuration,
    "secrets": secrets,
    "credentials": credentials,
    "migrations": migrations,
    "clock": clock,
    "time zones": zones,
    "static files": static_files,
    "data folder": data_folder,
    "people": people,
    "statements": statements,
}
"""What is examined beside the checks of the health page."""
