"""The pages of syncs: how far each has come, the switchboard, and the form that reads from a date again."""

import datetime as dt
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions import tasks
from apps.actions.actors import Actor
from apps.actions.admin import NOTHING, PolicyAdmin, VerbAdmin, age
from apps.actions.admin.lists import NOT_FILTERS
from apps.actions.admin.pages import Told, line, outcome
from apps.actions.permissions import require
from apps.actions.running import database_now, preview, refusals, run
from apps.actions.selections import Selection
from apps.actions.verbs import Acted, Refused
from apps.integrations.sites import in_clear
from apps.jobs.admin import PausedColumns
from apps.jobs.models import JobRun, Tenant
from apps.syncs.catalogue import KEPT, readings_of
from apps.syncs.forms import ResyncForm, SyncForm
from apps.syncs.models import Sync, SyncCursor
from apps.syncs.resyncing import day_of, foreseen
from apps.syncs.switchboard import Board, Cell, board

WORDS = {*NOT_FILTERS, "kind", "id"}
"""Words of the address that are no filter."""
FORESEEN_AT_MOST = 20
"""So many syncs are looked at one by one in a preview."""


@admin.register(Sync)
class SyncAdmin(PausedColumns, PolicyAdmin[Sync]):
    """Syncs: from where each reads, how far it has come, how far it is behind, and its last error (S1-57 to S1-63)."""

    form = SyncForm
    change_list_template = "syncs/change_list.html"
    change_form_template = "syncs/sync.html"
    list_display = ("sync", "state", "service", "read_whole", "behind", "error", "paused", "row_verbs")
    list_select_related = ("job", "tenant", "service")
    readonly_fields = ("read_whole", "behind", "error", "paused")
    fieldsets = (
        (None, {"fields": ("read_whole", "behind", "error", "paused")}),
        (gettext_lazy("What is read"), {"fields": ("job", "tenant", "service")}),
    )

    def get_urls(self) -> list[Any]:
        """Add the switchboard and the form of `resync`."""
        wrap = self.admin_site.admin_view
        return [
            path("switchboard/", wrap(self.switchboard_view), name="syncs_sync_switchboard"),
            path("resync/", wrap(self.resync_view), name="syncs_sync_resync"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("job", "tenant", "service")

    def get_readonly_fields(self, request: HttpRequest, obj: Sync | None = None) -> Any:
        """Whose it is stays: its records and cursors are theirs."""
        return (*self.readonly_fields, *(("job", "tenant") if obj else ()))

    def has_delete_permission(self, request: HttpRequest, obj: Sync | None = None) -> bool:
        """It is paused: its rejected records name it."""
        return False

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer what there is; it is edited on pages of its own."""
        if db_field.is_relation:
            return db_field.formfield(**kwargs)
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def complete_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        super().complete_rows(request, rows)
        found, now = _cursors_of([row.pk for row in rows]), database_now()
        for row in rows:
            row.read, row.read_at = found.get(row.pk, []), now

    def told(self, request: HttpRequest, row: Sync) -> Told:
        lead = _("Paused: %(reason)s") % {"reason": row.paused_reason} if row.paused_at else in_clear(row.service)
        return super().told(request, row) | {"lead": lead, "cursors": told_cursors(row), "links": links_of(row)}

    @admin.display(description=gettext_lazy("sync"))
    def sync(self, row: Sync) -> str:
        return str(row)

    @admin.display(description=gettext_lazy("last read whole"))
    def read_whole(self, row: Any) -> str:
        cursors = _read(row)
        moments = [cursor.passed_at for cursor in cursors if cursor.passed_at]
        return age(min(moments)) if moments and len(moments) == len(cursors) else NOTHING

    @admin.display(description=gettext_lazy("behind"))
    def behind(self, row: Any) -> str:
        now = getattr(row, "read_at", None) or database_now()
        lags = [cursor.lag_at(now) for cursor in _read(row)]
        known = [lag for lag in lags if lag is not None]
        return in_words(max(known)) if known and len(known) == len(lags) else NOTHING

    @admin.display(description=gettext_lazy("last error"))
    def error(self, row: Any) -> str:
        return next((line(cursor.last_error) for cursor in _read(row) if cursor.last_error), NOTHING)

    # The switchboard

    def switchboard_view(self, request: HttpRequest) -> HttpResponse:
        """Show tenant by job, a page of tenants at a time."""
        self.require_view(request)
        shown = board(request.GET.get("after", "")[:60])
        told = {"title": _("Switchboard"), "opts": self.opts, "board": self._told_board(request, shown)}
        template = "syncs/board.html" if request.headers.get("HX-Target") == "board" else "syncs/switchboard.html"
        return render(request, template, self.admin_site.each_context(request) | told)

    def _told_board(self, request: HttpRequest, shown: Board) -> Told:
        tenants = [line.tenant for line in shown.lines if line.tenant]
        syncs = [cell.sync for line in shown.lines for cell in line.cells if cell.sync]
        syncs += [cell.sync for cell in shown.systems if cell.sync]
        offered = _offered(request, Tenant, tenants) | _offered(request, Sync, syncs)
        now = database_now()
        return {
            "jobs": shown.jobs,
            "lines": [
                {
                    "tenant": line.tenant,
                    "url": reverse("admin:jobs_tenant_change", args=[line.tenant.pk]),
                    "verbs": offered.get(line.tenant.pk, []),
                    "cells": [told_cell(cell, now, offered) for cell in line.cells],
                }
                for line in shown.lines
                if line.tenant
            ],
            "systems": [told_cell(cell, now, offered) for cell in shown.systems],
            "next": f"?{urlencode({'after': shown.next})}" if shown.next else "",
        }

    # Sync from a date again

    def resync_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for the day, show what would be read again, and do it where that was pressed."""
        try:
            require(Actor.of_user(request.user), Sync.resync)
            return self._resync(request, _selected(request))
        except Refused as refusal:
            context = {"refusal": refusal, "noun": self.opts, "back_url": self.list_url()}
            page = self.admin_site.each_context(request) | context
            return render(request, "actions/refusal.html", page, status=refusal.http_status)

    def _resync(self, request: HttpRequest, selection: Selection) -> HttpResponse:
        actor = Actor.of_user(request.user)
        shown = preview(Sync.resync, selection, actor)
        form = ResyncForm(request.POST) if "since" in request.POST else ResyncForm()
        looked = form.is_bound and form.is_valid()
        if looked and "confirm" in request.POST:
            given = {word: form.cleaned_data[word] for word in ("since", "reason")}
            record = run(Sync.resync, selection, actor, given=given, idempotency_key=form.cleaned_data["key"] or None)
            tasks.wake_after(record)
            words, level = outcome(Sync.resync, record)
            link = format_html('<a href="{}">{}</a>', record.get_absolute_url(), _("See the run"))
            messages.add_message(request, level, format_html("{} {}", words, link))
            return HttpResponseRedirect(self._whence(selection))
        context = {
            "noun": self.opts,
            "verb": Sync.resync,
            "selection_words": selection.words(),
            "preview": shown,
            "form": form,
            "looked": looked,
            "foreseen": _foreseen(selection, actor, form.cleaned_data["since"]) if looked else [],
            "hidden": [("id", key) for key in selection.ids or ()],
            "back_url": self._whence(selection),
        }
        page = self.admin_site.each_context(request) | context
        return render(request, "syncs/resync.html", page, status=422 if form.is_bound and not looked else 200)

    def _whence(self, selection: Selection) -> str:
        if selection.ids and len(selection.ids) == 1:
            return reverse("admin:syncs_sync_change", args=[selection.ids[0]])
        return self.list_url()


def _selected(request: HttpRequest) -> Selection:
    ids = request.GET.getlist("id") or request.POST.getlist("id") or request.POST.getlist(ACTION_CHECKBOX_NAME)
    if ids:
        return Selection.ticked(Sync, ids)
    return Selection.matching(Sync, {word: str(request.GET[word]) for word in request.GET if word not in WORDS})


def _foreseen(selection: Selection, actor: Actor, since: str) -> list[Told]:
    moment = day_of(since)
    if moment is None:
        return []
    rows = selection.rows(actor).select_related("job", "tenant", "service")[:FORESEEN_AT_MOST]
    return [
        {"sync": str(sync), **vars(told), "from": position_words(told.position)}
        for sync in rows
        for told in foreseen(sync, moment)
    ]


def _cursors_of(syncs: list[UUID]) -> dict[UUID, list[SyncCursor]]:
    found: dict[UUID, list[SyncCursor]] = {}
    for cursor in SyncCursor.objects.filter(sync__in=syncs).order_by("entity"):
        found.setdefault(cursor.sync_id, []).append(cursor)
    return found


def _read(row: Any) -> list[SyncCursor]:
    """Return the cursors of a sync; a list asked for all of its rows at once."""
    return row.read if hasattr(row, "read") else list(row.cursors.order_by("entity"))


def told_cursors(row: Sync) -> list[Told]:
    """Return how far each kind of record has come, as its page shows it."""
    labels = {entity: reading.label for entity, reading in readings_of(row.service).items()}
    return [
        {
            "cursor": cursor,
            "label": labels.get(cursor.entity, cursor.entity),
            "watermark": position_words(cursor.watermark),
            "position": position_words(cursor.position),
            "counts": [(word, cursor.counts[word]) for word in COUNTED if cursor.counts.get(word)],
        }
        for cursor in row.cursors.order_by("entity")
    ]


COUNTED = ("read", "created", "updated", "unchanged", "rejected", "operations")


def position_words(position: Any) -> str:
    """Return a position as people can read it: its words and values."""
    if not position:
        return ""
    return ", ".join(f"{word} {value}" for word, value in position.items() if value not in ("", 0))


def links_of(row: Sync) -> list[Told]:
    """Return where to read on: its runs, what it brought, and what it could not take in."""
    words = {"job": row.job.slug, **({"tenant": row.tenant.slug} if row.tenant else {})}
    places = [(_("Its runs"), "jobs_jobrun", words), (_("Rejected records"), "syncs_rejectedrecord", words)]
    if row.tenant:
        kept = [model for entity, model in KEPT.items() if entity in readings_of(row.service)]
        theirs = {"tenant": row.tenant.slug}
        places += [(str(model._meta.verbose_name_plural), f"syncs_{model._meta.model_name}", theirs) for model in kept]
    return [
        {"label": label, "url": f"{reverse(f'admin:{name}_changelist')}?{urlencode(asked)}"}
        for label, name, asked in places
    ]


def told_cell(cell: Cell, now: dt.datetime, offered: dict[UUID, list[Told]]) -> Told:
    """Return one cell of the switchboard."""
    words = {"job": cell.job.slug, "status": JobRun.Status.FAILED}
    words |= {"tenant": cell.sync.tenant.slug} if cell.sync and cell.sync.tenant else {}
    return {
        "job": cell.job,
        "sync": cell.sync,
        "url": reverse("admin:syncs_sync_change", args=[cell.sync.pk]) if cell.sync else "",
        "state": _state(cell),
        "passed_at": cell.passed_at if cell.whole else None,
        "behind": in_words(now - cell.passed_at) if cell.whole and cell.passed_at else "",
        "error": line(cell.last_error),
        "failures": cell.failures,
        "failures_url": f"{reverse('admin:jobs_jobrun_changelist')}?{urlencode(words)}",
        "verbs": offered.get(cell.sync.pk, []) if cell.sync else [],
    }


def _state(cell: Cell) -> tuple[str, str]:
    if cell.sync and cell.sync.status == Sync.Status.PAUSED:
        return "paused", str(cell.sync.get_status_display())
    if cell.under_way:
        return "running", _("under way")
    if cell.last_error:
        return "failed", _("fails")
    return ("succeeded", _("read")) if cell.whole else ("queued", _("not read yet"))


def _offered(request: HttpRequest, model: type[Acted], rows: list[Any]) -> dict[UUID, list[Told]]:
    """Return the legal verbs of many rows, as home/press.html reads them, in the queries of one."""
    pages = cast("VerbAdmin[Any]", admin.site.get_model_admin(model))
    permitted, why = pages.permitted(request), refusals(model, [row.pk for row in rows])
    back = [("back", request.get_full_path())]
    return {
        row.pk: [
            pages.told_verb(verb, row, fields=back)
            for name, verb in permitted.items()
            if not why.get(row.pk, {}).get(name, "gone")
        ]
        for row in rows
    }


def in_words(lag: dt.timedelta) -> str:
    """Return how far behind something is, as people say it."""
    minutes = max(int(lag.total_seconds() // 60), 0)
    if minutes < 120:
        return _("%(minutes)s min") % {"minutes": minutes}
    hours = minutes // 60
    return _("%(hours)s h") % {"hours": hours} if hours < 72 else _("%(days)s days") % {"days": hours // 24}
