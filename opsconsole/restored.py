"""What people are told of a database that was restored: what is paused, what may already have been sent, what to do."""

from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.actions import installations
from apps.actions.admin import figure
from apps.actions.verbs import slug_of
from apps.jobs.restoring import held_nouns
from apps.operations.models import PendingOperation

COUNTED_AT_MOST = 100_000


def reason() -> str:
    """Return why everything was paused, as long as anything still is because of it."""
    last = installations.last_restore()
    if last is None:
        return ""
    held = any(model._default_manager.filter(paused_reason=last.reason).exists() for model in held_nouns())
    return last.reason if held else ""


def to_look_at() -> int:
    """Return how many operations may have been sent since the backup was made, and nobody has settled yet."""
    waits = [PendingOperation.Status.PENDING, PendingOperation.Status.FAILED]
    rows = PendingOperation.objects.filter(restored_at__isnull=False, archived_at=None, status__in=waits)
    return rows[:COUNTED_AT_MOST].count()


def list_address() -> str:
    """Return the list of what may have been sent."""
    return f"{reverse('admin:operations_pendingoperation_changelist')}?{urlencode({'restored': 'yes'})}"


def situation() -> list[str]:
    """Return, in sentences, how a restored console stands and what to do now; nothing where it is not one."""
    why = reason()
    if not why:
        return []
    return [
        _("Everything is paused: %(why)s.") % {"why": why},
        may_have_been_sent(),
        _("  Look at them:      %s") % (settings.PUBLIC_URL.rstrip("/") + list_address()),
        _("  Ask the far ends:  manage.py ops confirm pending-operations --filter restored=yes status=pending"),
        _("  Settle the found:  manage.py ops resolve pending-operations --filter restored=yes found=yes --note …"),
        _("  Let work go on:"),
        *(f'    manage.py ops resume {slug_of(model)} --filter "because={why}"' for model in held_nouns()),
    ]


def may_have_been_sent() -> str:
    """Say how many operations may already have been sent."""
    count = to_look_at()
    words = ngettext(
        "%(count)s operation may already have been sent since the backup was made.",
        "%(count)s operations may already have been sent since the backup was made.",
        count,
    )
    return words % {"count": figure(count)}
