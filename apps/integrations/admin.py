import datetime as dt
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.actors import Actor
from apps.actions.admin import NOTHING, PolicyAdmin, ReadOnly, VerbAdmin, age, badge
from apps.actions.admin.pages import Noun, Told, newest_first, told_item
from apps.actions.models import history_of
from apps.actions.running import database_now
from apps.actions.shown import Shown
from apps.actions.verbs import Acted, Refused
from apps.integrations.bodies import Unreadable
from apps.integrations.configuration import exported_endpoints, exported_mappings
from apps.integrations.connectors import CONNECTORS
from apps.integrations.credentials import credential, source_of
from apps.integrations.endpoint_forms import EndpointForm, fields_of_rows
from apps.integrations.event_admin import EventSourceAdmin, IntegrationEventAdmin
from apps.integrations.forms import ApiKeyForm, ServiceForm
from apps.integrations.models import AccessRefusal, ApiKey, CircuitBreaker, Endpoint, MappingVersion, RateLimit, Service
from apps.integrations.panel import panel
from apps.integrations.routing import newest_versions
from apps.integrations.sites import missing_credentials
from apps.integrations.trials import changed, compared, differences, pasted, stored, stored_one
from apps.jobs.admin import PausedColumns
from apps.jobs.backlog import backlogs

USES_SHOWN = 100
"""So many addresses of a key are listed, the latest first."""
__all__ = ["EventSourceAdmin", "IntegrationEventAdmin"]

GUARDED = ("connector", "base_url", "credentials", "allowed_networks")
"""Where our secrets go and which, and what of our own network is reached: only for superusers."""

TRIED = ("source", "event_type", "condition", "service", "operation_type", "tenant_expression", "entity_id_expression")
"""The fields beside the mapping that decide what becomes of an event."""
VERSIONS_SHOWN = 50
FILES = {"endpoints": exported_endpoints, "mappings": exported_mappings}
"""The files that may be taken away, by name."""
OPERATIONS = "admin:operations_pendingoperation_changelist"
"""Where the operations are that a version made; they stand above this app."""


class BreakerPages(PolicyAdmin[Noun]):
    """Pages on which a circuit breaker is read and handled: one part of them moves."""

    change_form_template = "integrations/breaker.html"

    def breaker_of(self, row: Noun) -> CircuitBreaker | None:
        """Return the breaker that the page of a row tells of."""
        raise NotImplementedError

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Told | None = None
    ) -> HttpResponse:
        """Show the page; asked by its own moving part, answer with that part alone."""
        if request.headers.get("HX-Target") != "breaker-live":
            return super().change_view(request, object_id, form_url, extra_context)
        row = self.get_object(request, object_id)
        if row is None or not self.has_view_permission(request, row):
            raise Http404
        told = self.told_panel(request, row) | {"verbs": self.offered(request, row)}
        return render(request, "integrations/breaker_live.html", told)

    def told(self, request: HttpRequest, row: Noun) -> Told:
        return super().told(request, row) | self.told_panel(request, row)

    def told_panel(self, request: HttpRequest, row: Noun) -> Told:
        """Return what the moving part shows; nothing where there is no breaker, or none that the reader may see."""
        breaker = self.breaker_of(row)
        seen = breaker is not None and request.user.has_perm("integrations.view_circuitbreaker")
        return {"panel": panel(breaker) if breaker and seen else None}

    def offered_of(self, request: HttpRequest, row: Acted, *names: str) -> list[Told]:
        """Return verbs of the other half, the service or its breaker, that lead back to this page."""
        pages = cast("VerbAdmin[Any]", admin.site.get_model_admin(type(row)))
        own = VerbAdmin.offered(pages, request, row)  # without what it borrows from us in its turn
        return [verb for verb in own if verb["name"] in names]


@admin.register(Service)
class ServiceAdmin(PausedColumns, BreakerPages[Service]):
    """Services: does each answer, what holds it, what waits for it (S0-27, S0-28, S0-31, S0-32)."""

    form = ServiceForm
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
    list_display = ("slug", "state", "breaker_state", "waiting", "hold", "probed", "row_verbs")
    list_select_related = ("breaker",)
    readonly_fields = ("secrets", "paused")
    fieldsets = (
        (None, {"fields": ("secrets", "paused")}),
        (
            gettext_lazy("What it is"),
            {"fields": ("slug", "name", "aliases", "connector", "base_url", "credentials", "options")},
        ),
        (
            gettext_lazy("How fast, how patiently"),
            {
                "fields": (
                    ("rate_per_second", "burst", "max_in_flight"),
                    ("connect_seconds", "deadline_seconds"),
                    ("max_retries", "backoff_base_seconds", "backoff_cap_seconds"),
                )
            },
        ),
        (gettext_lazy("What it may reach"), {"classes": ("collapse",), "fields": ("allowed_networks",)}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Service | None = None) -> Any:
        guarded = () if request.user.is_superuser else GUARDED
        return (*super().get_readonly_fields(request, obj), *guarded)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser) and super().has_add_permission(request)

    def complete_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        super().complete_rows(request, rows)
        found = backlogs("service")
        for row in rows:
            row.backlog = found.get(row.pk, (0, None))

    def breaker_of(self, row: Service) -> CircuitBreaker | None:
        return CircuitBreaker.objects.select_related("service").filter(service=row).first()

    def offered(self, request: HttpRequest, row: Service) -> list[Told]:
        """Its own verbs, and those of its breaker."""
        breaker = self.breaker_of(row)
        return super().offered(request, row) + (
            self.offered_of(request, breaker, "reset", "force_open") if breaker else []
        )

    def told(self, request: HttpRequest, row: Service) -> Told:
        missing = " ".join(missing_credentials(row)) if row.connector in CONNECTORS else ""
        return super().told(request, row) | {"lead": missing}

    def timeline(self, row: Service) -> list[Told]:
        """Its own history and its breaker's."""
        breaker = getattr(row, "breaker", None)
        moves = history_of(breaker.pk)[:100] if breaker else ()
        told = [told_item(CircuitBreaker, item) for item in moves]
        named = [{**each, "label": _("Breaker: %(step)s") % {"step": each["label"]}} for each in told]
        return newest_first([*super().timeline(row), *named])

    @admin.display(description=gettext_lazy("circuit breaker"))
    def breaker_state(self, row: Service) -> SafeString | None:
        breaker = getattr(row, "breaker", None)
        return badge(breaker.status, breaker.get_status_display()) if breaker else None

    @admin.display(description=gettext_lazy("waiting"))
    def waiting(self, row: Service) -> int:
        backlog = getattr(row, "backlog", None) or backlogs("service").get(row.pk, (0, None))
        return int(backlog[0])

    @admin.display(description=gettext_lazy("held"))
    def hold(self, row: Service) -> str:
        return format_html("{} {}", age(row.waits_until), row.waits_because) if row.waits_until else NOTHING

    @admin.display(description=gettext_lazy("last probe"))
    def probed(self, row: Service) -> str:
        if row.probe_asked_at and (row.probed_at is None or row.probed_at < row.probe_asked_at):
            return _("asked, the answer is on its way")
        if row.probed_at is None:
            return NOTHING
        good = badge("completed" if row.probe_ok else "failed", _("answers") if row.probe_ok else _("fails"))
        return format_html("{} {} {}", good, row.probe_said, age(row.probed_at))

    @admin.display(description=gettext_lazy("where its secrets stand"))
    def secrets(self, row: Service) -> SafeString:
        named = ((word, credential(str(name))) for word, name in row.credentials.items())
        return format_html_join("", "<div>{}: <code>{}</code> {}</div>", ((w, c.name, source_of(c)) for w, c in named))


@admin.register(CircuitBreaker)
class CircuitBreakerAdmin(BreakerPages[CircuitBreaker]):
    """Circuit breakers: their thresholds are policy, their state moves by verbs and steps (S1-48 to S1-55)."""

    list_display = ("service", "state", "reason", "failures", "opened", "next_probe", "row_verbs")
    list_select_related = ("service",)
    readonly_fields = ("service", "failures")
    fieldsets = (
        (None, {"fields": ("service", "failures")}),
        (
            gettext_lazy("Thresholds"),
            {"fields": ("failure_threshold", "window_seconds", "timeout_seconds", "timeout_cap_seconds")},
        ),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Every service gets its own by itself."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: CircuitBreaker | None = None) -> bool:
        """Without a breaker no call goes out."""
        return False

    def breaker_of(self, row: CircuitBreaker) -> CircuitBreaker | None:
        return row

    def offered(self, request: HttpRequest, row: CircuitBreaker) -> list[Told]:
        """Its own verbs, and the probe of its service."""
        return super().offered(request, row) + self.offered_of(request, row.service, "probe")

    @admin.display(description=gettext_lazy("open since"))
    def opened(self, row: CircuitBreaker) -> str:
        return age(row.opened_at)

    @admin.display(description=gettext_lazy("next probe"))
    def next_probe(self, row: CircuitBreaker) -> str:
        return age(row.probe_due_at)


@admin.register(Endpoint)
class EndpointAdmin(PausedColumns, PolicyAdmin[Endpoint]):
    """Endpoints: what an event becomes, by which mapping, and what it was before (S1-96 to S1-98)."""

    form = EndpointForm
    list_display = ("slug", "state", "takes", "becomes", "version", "paused", "row_verbs")
    list_select_related = ("service",)
    fieldsets = (
        (None, {"fields": ("slug", "name")}),
        (gettext_lazy("Which events"), {"fields": ("source", "event_type", "condition")}),
        (
            gettext_lazy("Which operation"),
            {
                "fields": (
                    "service",
                    "operation_type",
                    "queue",
                    "entity_id_expression",
                    "tenant",
                    "tenant_expression",
                )
            },
        ),
        (gettext_lazy("How its fields are filled"), {"fields": ("mapping", "note", "based_on")}),
    )
    told_fields = (
        "slug",
        "name",
        "paused",
        "takes",
        "condition",
        "becomes",
        "queue",
        "entity_id_expression",
        "tenant",
        "tenant_expression",
        "mapping_table",
    )
    """What is shown to whoever may only look."""

    class Media:
        js = ("console/mapping.js",)

    def get_urls(self) -> list[Any]:
        """Add the trial of a mapping, and the page of its versions."""
        wrap = self.admin_site.admin_view
        return [
            path("<slug:what>.json", wrap(self.configuration_view), name="integrations_endpoint_export"),
            path("samples/", wrap(self.samples_view), name="integrations_endpoint_samples"),
            path("trial/", wrap(self.trial_view), name="integrations_endpoint_trial"),
            path("<uuid:key>/trial/", wrap(self.trial_view), name="integrations_endpoint_trial"),
            path("<uuid:key>/versions/", wrap(self.versions_view), name="integrations_endpoint_versions"),
            *super().get_urls(),
        ]

    def has_delete_permission(self, request: HttpRequest, obj: Endpoint | None = None) -> bool:
        """Operations name its versions: it is paused, and stays."""
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Endpoint | None = None) -> Any:
        if self._may_edit(request, obj):
            return self.fieldsets
        return ((None, {"fields": self.told_fields}),)

    def get_readonly_fields(self, request: HttpRequest, obj: Endpoint | None = None) -> Any:
        if not self._may_edit(request, obj):
            return self.told_fields
        return ("slug",) if obj else ()

    def _may_edit(self, request: HttpRequest, obj: Endpoint | None) -> bool:
        return self.has_change_permission(request, obj) if obj else self.has_add_permission(request)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer the services, queues and tenants that there are; they are edited on pages of their own."""
        return (
            db_field.formfield(**kwargs)
            if db_field.is_relation
            else super().formfield_for_dbfield(db_field, request, **kwargs)
        )

    # The list

    def complete_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        super().complete_rows(request, rows)
        versions = newest_versions(rows)
        for row in rows:
            row.newest = versions.get(row.pk)

    @admin.display(description=gettext_lazy("takes"))
    def takes(self, row: Endpoint) -> str:
        if not row.source:
            return row.event_type
        return _("%(type)s from %(source)s") % {"type": row.event_type, "source": row.source}

    @admin.display(description=gettext_lazy("makes"))
    def becomes(self, row: Endpoint) -> str:
        return _("%(operation)s at %(service)s") % {"operation": row.operation_type, "service": row.service}

    @admin.display(description=gettext_lazy("version"))
    def version(self, row: Endpoint) -> str:
        newest: MappingVersion | None = getattr(row, "newest", None)
        return str(newest.number) if newest else NOTHING

    @admin.display(description=gettext_lazy("mapping"))
    def mapping_table(self, row: Endpoint) -> str:
        newest = row.mapping
        return render_to_string(
            "integrations/rules.html", {"differences": differences({}, newest.fields if newest else {})}
        )

    # One endpoint

    def told(self, request: HttpRequest, row: Endpoint) -> Told:
        lead = _("Paused: %(reason)s") % {"reason": row.paused_reason} if row.paused_at else ""
        return super().told(request, row) | {"lead": lead}

    def timeline(self, row: Endpoint) -> list[Told]:
        """Its own history and the versions of its mapping."""
        url = reverse("admin:integrations_endpoint_versions", args=[row.pk])
        made = [told_version(version, url) for version in row.versions.order_by("-number")[:VERSIONS_SHOWN]]
        return newest_first([*super().timeline(row), *made])

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show or save the form. Two who save at once come one after the other, and the second is told of the first."""
        with transaction.atomic():
            if request.method == "POST" and object_id:
                rows = [row.pk for row in [self.get_object(request, object_id)] if row]
                Endpoint.objects.select_for_update(of=("self",)).filter(pk__in=rows).first()
            return super().changeform_view(request, object_id, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: Endpoint, form: Any, change: bool) -> None:
        """Save the endpoint; a changed mapping becomes its next version."""
        super().save_model(request, obj, form, change)
        obj.mapped_by(form.cleaned_data["mapping"], request.user.get_username(), form.cleaned_data["note"])

    def configuration_view(self, request: HttpRequest, what: str) -> HttpResponse:
        """Hand out the file that the command of the same name writes."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if what not in FILES:
            raise Http404
        headers = {"Content-Disposition": f'attachment; filename="{what}_backup.json"'}
        return HttpResponse(FILES[what](), content_type="application/json", headers=headers)

    def trial_view(self, request: HttpRequest, key: UUID | None = None) -> HttpResponse:
        """Show what the form's mapping makes of an event. Nothing is kept."""
        row = get_object_or_404(Endpoint, pk=key) if key else None
        if not self._may_edit(request, row):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        form = EndpointForm(request.POST, instance=row or Endpoint())
        try:
            told = told_trial(form, self._sample(request, form))
        except (Unreadable, Refused) as error:
            told = {"wrong": [str(error)]}
        return render(request, "integrations/trial.html", told)

    def _sample(self, request: HttpRequest, form: EndpointForm) -> Any:
        """Return the event to try: what was pasted, else the stored one that was chosen."""
        text = request.POST.get("pasted", "")
        if text.strip():
            return pasted(text, form.data.get("source", ""), form.data.get("event_type", ""))
        return stored_one(Actor.of_user(request.user), request.POST.get("sample", ""))

    def samples_view(self, request: HttpRequest) -> HttpResponse:
        """Offer the newest stored events that the form's source and type take."""
        if not (self.has_change_permission(request) or self.has_add_permission(request)):
            raise PermissionDenied
        source, pattern = (request.GET.get(word, "")[:200].replace("\0", "") for word in ("source", "event_type"))
        found = stored(Actor.of_user(request.user), source, pattern) if pattern else []
        return render(request, "integrations/samples.html", {"samples": found})

    def versions_view(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """Show the versions of a mapping, each with what it changed; put an old one in force again where it was pressed."""
        row = get_object_or_404(Endpoint, pk=key)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if request.method == "POST":
            return self._again(request, row)
        may = self.has_change_permission(request, row)
        context = {"endpoint": row, "opts": self.opts, "versions": told_versions(row), "may": may}
        return render(request, "integrations/versions.html", self.admin_site.each_context(request) | context)

    def _again(self, request: HttpRequest, row: Endpoint) -> HttpResponse:
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        number = request.POST.get("number", "")
        old = get_object_or_404(row.versions, number=int(number) if number.isdecimal() and len(number) < 9 else 0)
        note = _("Version %(number)s again") % {"number": old.number}
        made = row.mapped_by(old.fields, request.user.get_username(), note)
        self.log_change(request, row, note)
        told = {"number": made.number, "old": old.number}
        messages.success(request, _("Version %(number)s is in force: it says what version %(old)s said.") % told)
        return HttpResponseRedirect(request.path)


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


def told_trial(form: EndpointForm, sample: Any) -> Told:
    """Return what a form's mapping makes of an event, as the page reads it."""
    form.is_valid()
    endpoint = form.instance
    wrong = [
        f"{form.fields[name].label}: {' '.join(map(str, form.errors[name]))}" for name in TRIED if name in form.errors
    ]
    if wrong or sample is None:
        return {"wrong": wrong}
    fields, _twice = fields_of_rows(form["mapping"].data)
    found = compared(endpoint, fields, form.newest, sample)
    return {"found": found, "endpoint": endpoint, "newest": form.newest, "payload": found.trial.mapped.payload}


def told_version(version: MappingVersion, url: str) -> Told:
    """Return a version of a mapping as the timeline reads it."""
    return {
        "at": version.made_at,
        "kind": "action",
        "label": _("Mapping version %(number)s") % {"number": version.number},
        "who": version.made_by,
        "detail": version.note or _("Without a note."),
        "url": url,
        "link": _("See what changed"),
    }


def told_versions(row: Endpoint) -> list[Told]:
    """Return the newest versions, each with what it changed of the one before."""
    versions = list(row.versions.order_by("-number")[: VERSIONS_SHOWN + 1])
    before = [*(version.fields for version in versions[1:]), {}]
    return [
        {
            "version": version,
            "differences": changed(differences(old, version.fields)),
            "current": not place,
            "operations_url": f"{reverse(OPERATIONS)}?{urlencode({'mapping': version.name})}",
        }
        for place, (version, old) in enumerate(zip(versions[:VERSIONS_SHOWN], before, strict=False))
    ]
