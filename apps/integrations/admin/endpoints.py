from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.actors import Actor
from apps.actions.admin import NOTHING, PolicyAdmin
from apps.actions.admin.pages import Told, newest_first
from apps.actions.verbs import Refused
from apps.integrations.bodies import Unreadable
from apps.integrations.configuration import exported_endpoints, exported_mappings
from apps.integrations.endpoint_forms import EndpointForm, fields_of_rows
from apps.integrations.models import Endpoint, MappingVersion
from apps.integrations.routing import newest_versions
from apps.integrations.trials import changed, compared, differences, pasted, stored, stored_one
from apps.jobs.admin import PausedColumns

TRIED = ("source", "event_type", "condition", "service", "operation_type", "tenant_expression", "entity_id_expression")
"""The fields beside the mapping that decide what becomes of an event."""
VERSIONS_SHOWN = 50
FILES = {"endpoints": exported_endpoints, "mappings": exported_mappings}
"""The files that may be taken away, by name."""
OPERATIONS = "admin:operations_pendingoperation_changelist"
"""Where the operations are that a version made; they stand above this app."""


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
