"""A restored database starts with everything paused, and marks what may already have been sent (R26).

Nobody has to remember a flag: a restore makes another database of it (apps/actions/installations.py), in which no work can
be claimed until this has run. The tick, `migrate` and `restore` run it; each part may be repeated, so a kill costs nothing.
"""

import datetime as dt
import logging
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Max, Q
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from apps.actions import installations
from apps.actions.models import ActionRun, Installation
from apps.actions.running import step
from apps.actions.verbs import nouns
from apps.jobs.catalogue import RECALLS
from apps.jobs.models import Heartbeat, Pausable

log = logging.getLogger(__name__)


def hold_if_restored() -> bool:
    """Pause everything where the database was restored; say whether it was, and was not known to be."""
    if installations.at_home():
        return False
    found = installations.notice(_last_sign())
    if found.settled_at is None:
        _hold(found)
    return found.settled_at is None


def hold_as_restored() -> None:
    """Pause everything because somebody knows that the database was restored; once is enough."""
    if not hold_if_restored():
        _hold(installations.notice(_last_sign(), told=True))


def _hold(found: Installation) -> None:
    """Pause everything and mark what may already have been sent; work may be claimed again after that."""
    reason = _reason(found.last_sign_at)
    log.warning("This database was restored: %s", reason)
    marked = sum(import_string(path)(found.found_at) for path in RECALLS)
    for model in held_nouns():
        active = model._default_manager.filter(Q(status="active"))  # each of them has this state
        while step(model.pause, active, reason=reason):  # type: ignore[attr-defined] # every pausable noun has the verb
            pass
    released = ActionRun.objects.filter(status__in=[ActionRun.Status.QUEUED, ActionRun.Status.RUNNING])
    step(ActionRun.pause, released, note=reason)
    installations.settle(found, reason)
    log.warning("Everything is paused. %s operations may already have been sent.", marked)


def held_nouns() -> list[type[Pausable]]:
    """Return the nouns that are paused after a restore: what starts work, or lets it out."""
    return [model for model in nouns() if issubclass(model, Pausable) and model.held_after_restore]


def _last_sign() -> dt.datetime | None:
    found: dt.datetime | None = Heartbeat.objects.aggregate(newest=Max("beat_at"))["newest"]
    return found


def _reason(last_sign: dt.datetime | None) -> str:
    if last_sign is None:
        return _("restored from a backup")
    # The same in every language and without a comma, for lists are filtered by it.
    return _("restored from a backup of %(at)s") % {
        "at": f"{last_sign.astimezone(ZoneInfo(settings.OPS_TIME_ZONE)):%Y-%m-%d %H:%M}"
    }
