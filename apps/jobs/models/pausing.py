"""What a person can hold, until a moment or until somebody lets it go on."""

from typing import Any, ClassVar

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.actions.verbs import Acted, Given, Verb, Words


class Pausable(Acted):
    """A noun that a person can hold: why, by whom and until when stands on the row."""

    held_after_restore: ClassVar[bool] = False
    """Whether its rows start paused in a database that was restored: what starts work, or lets it out."""

    paused_at = models.DateTimeField(_("paused at"), null=True, blank=True, editable=False)
    paused_reason = models.TextField(_("paused because"), blank=True, default="", editable=False)
    paused_until = models.DateTimeField(_("paused until"), null=True, blank=True, editable=False)

    class Meta:
        abstract = True


def pausing(help: Words) -> Verb:
    """Return the verb that holds a row, until a moment or until somebody resumes it."""
    return Verb(
        _("Pause"),
        sources=["active"],
        target="paused",
        sets={"paused_at": Now(), "paused_reason": Given("reason"), "paused_until": Given("until")},
        asks=["reason", "until"],
        help=help,
    )


def resuming(help: Words, **sets: Any) -> Verb:
    """Return the verb that lets a held row go on; `sets` are columns beside those of the pause."""
    sets = {"paused_at": None, "paused_reason": "", "paused_until": None, **sets}
    return Verb(_("Resume"), sources=["paused"], target="active", sets=sets, help=help)
