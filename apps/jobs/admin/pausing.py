"""What pages say of a thing that may be paused."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.actors import spoken
from apps.actions.admin import NOTHING, age
from apps.actions.models import last_actors
from apps.jobs.models import Pausable


class PausedColumns:
    """What pages say of a thing that may be paused. It stands before the pages of its noun."""

    def complete_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        """Find out, for all rows of a page at once, who paused those that are."""
        super().complete_rows(request, rows)  # type: ignore[misc] # VerbAdmin's
        paused = [row.pk for row in rows if row.paused_at]
        who = last_actors(paused, ["pause"]) if paused else {}
        for row in rows:
            row.paused_by = who.get(row.pk, "")

    @admin.display(description=gettext_lazy("paused"))
    def paused(self, row: Pausable) -> str:
        """Say why it is paused, since when, by whom and until when."""
        if not row.paused_at:
            return NOTHING
        words = _("{since}, by {who}, ends {until}: {reason}") if row.paused_until else _("{since}, by {who}: {reason}")
        who = getattr(row, "paused_by", None) or last_actors([row.pk], ["pause"]).get(row.pk, "?")
        return format_html(
            words, since=age(row.paused_at), who=spoken(who), until=age(row.paused_until), reason=row.paused_reason
        )
