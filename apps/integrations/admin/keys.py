import datetime as dt
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.actors import Actor
from apps.actions.admin import NOTHING, ReadOnly, VerbAdmin, age, badge
from apps.actions.admin.pages import Told
from apps.actions.running import database_now
from apps.actions.shown import Shown
from apps.integrations.forms import ApiKeyForm
from apps.integrations.models import AccessRefusal, ApiKey, RateLimit

USES_SHOWN = 100
"""So many addresses of a key are listed, the latest first."""


@admin.register(ApiKey)
class ApiKeyAdmin(VerbAdmin[ApiKey]):
    """Keys of other systems: made here or by `manage.py generate_api_key`, shown once, rotated and closed here."""

    form = ApiKeyForm
    list_display = ("name", "state", "begins", "group", "may", "used", "rotate_by", "ends", "row_verbs")
    list_select_related = ("group",)
    fields = (
        "name",
        "begins",
        "group",
        "may",
        "used",
        "used_by",
        "rotate_by",
        "ends",
        "rotated",
        "created_at",
        "revoked_at",
        "revoked_reason",
    )

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        return self.fields if obj else ("name", "group", "scopes", "expires_at", "rotation_days")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Ask for Django's permission; the form lets nobody make a key that may do more than its maker."""
        return admin.ModelAdmin.has_add_permission(self, request)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Told | None = None) -> HttpResponse:
        """Offer one button: each key is shown on the page that follows."""
        one = {"show_save_and_continue": False, "show_save_and_add_another": False}
        return super().add_view(request, form_url, one | (extra_context or {}))

    def get_form(self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"maker": Actor.of_user(request.user)})

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Make the key. Its text goes into the answer and nowhere else."""
        obj.pk, obj.plain = form.made()  # type: ignore[attr-defined] # read below, in the same request

    def log_addition(self, request: HttpRequest, obj: ApiKey, message: Any) -> Any:
        return super().log_addition(request, ApiKey.objects.get(pk=obj.pk), message)

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """Show the key, once."""
        made: Any = ApiKey.objects.select_related("group").get(pk=obj.pk)
        label = _("%(key)s, with the permissions of %(group)s") % {"key": made, "group": made.group}
        return self.show_once(request, [Shown(label, obj.plain)], self.list_url())  # type: ignore[attr-defined] # set above

    def complete_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        super().complete_rows(request, rows)
        now = database_now()
        for row in rows:
            row.asked_at = now

    def told(self, request: HttpRequest, row: ApiKey) -> Told:
        return super().told(request, row) | {"lead": " ".join(standing(row))}

    @admin.display(description=gettext_lazy("begins with"))
    def begins(self, row: ApiKey) -> str:
        return f"{row.prefix}…"

    @admin.display(description=gettext_lazy("may"))
    def may(self, row: ApiKey) -> str:
        return ", ".join(row.scopes) or _("all that its group may")

    @admin.display(description=gettext_lazy("last used"))
    def used(self, row: ApiKey) -> str:
        return format_html("{} {}", age(row.last_used_at), row.last_used_from or "")

    @admin.display(description=gettext_lazy("used by, in the last 90 days"))
    def used_by(self, row: ApiKey) -> SafeString | str:
        uses = row.uses.order_by("-at")[:USES_SHOWN]
        told = ((use.address or _("this machine"), age(use.at)) for use in uses)
        return format_html_join("", "<div>{} {}</div>", told) or NOTHING

    @admin.display(description=gettext_lazy("rotate by"), ordering="due_at")
    def rotate_by(self, row: ApiKey) -> SafeString | str:
        if row.rotated_at or row.status == ApiKey.Status.REVOKED:
            return NOTHING
        late = badge("warning", _("overdue")) if row.due_at <= asked_at(row) else ""
        return format_html("{} {}", late, age(row.due_at))

    @admin.display(description=gettext_lazy("ends"), ordering="expires_at")
    def ends(self, row: ApiKey) -> str:
        return age(row.expires_at) if row.expires_at else NOTHING

    @admin.display(description=gettext_lazy("rotated"))
    def rotated(self, row: ApiKey) -> SafeString | str:
        successor = ApiKey.objects.filter(replaces=row.pk).first()
        links = [(_("its successor: %(key)s"), successor), (_("in place of %(key)s"), row.replaces)]
        told = ((link_to(key), words % {"key": key}) for words, key in links if key)
        return format_html_join(" ", '<a href="{}">{}</a>', told) or NOTHING


def standing(key: ApiKey) -> list[str]:
    """Say what of a key needs somebody: it is past its day, or over."""
    now = asked_at(key)
    if key.status == ApiKey.Status.REVOKED or (key.expires_at and key.expires_at <= now):
        return []
    if key.rotated_at:
        return [_("Rotated: it closes by itself. See who still uses it before then.")]
    return [_("It should have been rotated by now.")] if key.due_at <= now else []


def asked_at(key: ApiKey) -> dt.datetime:
    """Return the moment that a key is looked at, one for a whole page."""
    moment: dt.datetime = getattr(key, "asked_at", None) or database_now()
    return moment


def link_to(key: ApiKey) -> str:
    """Return the address of a key's page."""
    return reverse("admin:integrations_apikey_change", args=[key.pk])


@admin.register(RateLimit)
class RateLimitAdmin(admin.ModelAdmin[RateLimit]):
    """Rate limits of our own API: how many requests one client may send. A change holds within five seconds."""

    list_display = ("who", "requests", "seconds")
    fields = list_display
    readonly_fields = ("who",)
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Which limits there are, the code says."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: RateLimit | None = None) -> bool:
        return False

    @admin.display(description=gettext_lazy("who"), ordering="name")
    def who(self, row: RateLimit) -> str:
        return str(row)


@admin.register(AccessRefusal)
class AccessRefusalAdmin(ReadOnly, admin.ModelAdmin[AccessRefusal]):
    """Whom we turned away, by the hour: only to be looked at."""

    empty_value_display = NOTHING
    list_display = ("why", "who", "address", "where", "times", "first", "last")
    list_display_links = None
    list_filter = ("reason",)
    search_fields = ("who__istartswith", "address__istartswith")
    fields = list_display
    actions = None
    show_full_result_count = False
    list_per_page = 50

    @admin.display(description=gettext_lazy("reason"), ordering="reason")
    def why(self, row: AccessRefusal) -> SafeString:
        return badge("warning", str(row.get_reason_display()))

    @admin.display(description=gettext_lazy("first"), ordering="first_at")
    def first(self, row: AccessRefusal) -> str:
        return age(row.first_at)

    @admin.display(description=gettext_lazy("last"), ordering="last_at")
    def last(self, row: AccessRefusal) -> str:
        return age(row.last_at)
