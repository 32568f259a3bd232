from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from apps.deadletters.forms import TransientRuleForm
from apps.deadletters.models import TransientRule


@admin.register(TransientRule)
class TransientRuleAdmin(admin.ModelAdmin[TransientRule]):
    """The one rule that says which dead letters pass by themselves: an ordinary form, audited by Django's log."""

    form = TransientRuleForm
    actions = None

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> TransientRule | None:
        """Return the rule as it holds, whether anybody has changed it yet or not."""
        return TransientRule.current() if object_id == "1" else None

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is one."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Without it the defaults would hold in silence."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Lead to the rule itself: a list of one row tells nothing."""
        return HttpResponseRedirect(reverse("admin:deadletters_transientrule_change", args=[1]))
