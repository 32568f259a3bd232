"""What people and systems are told while the database is away: 503, a sentence, and when to come again (D19)."""

from django.utils.translation import gettext as _

RETRY_SECONDS = 5
TOO_SLOW, LOCKED = "57014", ("55P03", "40P01", "40001")


def sentence(error: Exception) -> str:
    """Say what happened, and what to do now."""
    state = getattr(error.__cause__, "sqlstate", None)
    if state == TOO_SLOW:
        return _("The database took too long and was stopped. Nothing was changed. Narrow the filter, or try again.")
    if state in LOCKED:
        return _("Busy: somebody else is changing these rows. Nothing was changed. Try again in a moment.")
    return _("The database cannot be reached. Nothing was changed. Try again in a moment.")
