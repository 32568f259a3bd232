"""What the pages of every kind of work say that may be given up on."""

from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy

from apps.actions.admin import NOTHING, badge
from apps.actions.verbs import kind_of
from apps.deadletters.models import DeadLetter


class FailingColumns:
    """Why a row failed, how it was settled, and its dead letter."""

    @admin.display(description=gettext_lazy("failure class"))
    def failure(self, row: Any) -> str:
        """Name its failure class and error type."""
        return " · ".join(word for word in (str(row.get_failure_class_display()), row.error_type) if word) or NOTHING

    @admin.display(description=gettext_lazy("errors by field"))
    def by_field(self, row: Any) -> str:
        """Tell what was wrong with each field."""
        named = row.error_fields.items() if isinstance(row.error_fields, dict) else ()
        told = ((name, ", ".join(map(str, why)) if isinstance(why, list) else str(why)) for name, why in named)
        return format_html_join("", "<div><code>{}</code> {}</div>", told) or NOTHING

    @admin.display(description=gettext_lazy("how it was settled"))
    def settled(self, row: Any) -> str:
        """Tell how a person settled it, or why it was put away."""
        return row.resolution_note or row.archive_reason or NOTHING

    @admin.display(description=gettext_lazy("dead letter"))
    def letter(self, row: Any) -> str:
        """Lead to its dead letter."""
        letter = letter_of(row)
        if letter is None:
            return NOTHING
        url = reverse("admin:deadletters_deadletter_change", args=[letter.pk])
        return format_html('<a href="{}">{}</a> {}', url, letter, badge(letter.status, letter.get_status_display()))


def letter_of(row: Any) -> DeadLetter | None:
    """Return the dead letter of a piece of work; None where it was never given up on."""
    return DeadLetter.objects.filter(source_kind=kind_of(type(row)), source_id=row.pk).first()
