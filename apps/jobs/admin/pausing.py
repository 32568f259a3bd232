"""What pages say of a thing that may be paused."""

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.admin import NOTHING, age
from apps.jobs.models import Pausable


class PausedColumns:
    """What pages say of a thing that may be paused."""

    @admin.display(description=gettext_lazy("paused"))
    def paused(self, row: Pausable) -> str:
        """Say why it is paused, since when and until when."""
        if not row.paused_at:
            return NOTHING
        words = _("{since}, ends {until}: {reason}") if row.paused_until else _("{since}: {reason}")
        return format_html(words, since=age(row.paused_at), until=age(row.paused_until), reason=row.paused_reason)
