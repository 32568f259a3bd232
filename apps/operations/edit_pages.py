"""The pages of Edit and retry: one payload as a form, with what changed before it is saved; or one rule for many."""

import json
from secrets import token_hex
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions import tasks
from apps.actions.actors import Actor, spoken
from apps.actions.admin.lists import NOT_FILTERS
from apps.actions.admin.pages import Told, line, outcome
from apps.actions.models import ActionRun
from apps.actions.permissions import require
from apps.actions.running import model_of, preview, refusals
from apps.actions.selections import Selection
from apps.actions.verbs import NotFound, Refused, kind_of, moves_of, state_label
from apps.deadletters.models import DeadLetter
from apps.integrations.connectors import CONNECTORS
from apps.integrations.connectors.shape import Doubles
from apps.operations.editing import (
    Sample,
    Trial,
    edit_many,
    edit_of,
    edit_one,
    editable,
    happened_since,
    tried,
    version_of,
)
from apps.operations.forms import PayloadForm, RuleForm, write
from apps.operations.models import PayloadVersion, PendingOperation
from apps.operations.orders import doubles_of
from apps.operations.payloads import changes

WORDS = {*NOT_FILTERS, "kind", "id", "version"}
"""Words of the address that are no filter."""
VERSIONS_SHOWN = 20
CONFLICT = 409


def edit_view(site: Any, request: HttpRequest) -> HttpResponse:
    """Edit what the address, or the form of a list, selects: one row with its payload, more by a rule."""
    try:
        selection = _selected(request)
        actor = Actor.of_user(request.user)
        for verb in {edit_of(selection.model), PendingOperation.edit}:
            require(actor, verb)
        if selection.ids is None or len(selection.ids) > 1:
            return _Rule(site, request, selection).answer()
        return _one(site, request, selection)
    except Refused as refusal:
        context = {"refusal": refusal, "noun": PendingOperation._meta, "back_url": _list_url(PendingOperation)}
        page = site.each_context(request) | context
        return render(request, "actions/refusal.html", page, status=refusal.http_status)


def _selected(request: HttpRequest) -> Selection:
    kind = request.GET.get("kind") or kind_of(PendingOperation)
    model = model_of(kind)
    if model not in (PendingOperation, DeadLetter):
        raise NotFound(_("%(kind)s cannot be edited.") % {"kind": kind})
    ids = request.GET.getlist("id") or request.POST.getlist("id") or request.POST.getlist(ACTION_CHECKBOX_NAME)
    if ids:
        return Selection.ticked(model, ids)
    return Selection.matching(model, {word: str(request.GET[word]) for word in request.GET if word not in WORDS})


def _one(site: Any, request: HttpRequest, selection: Selection) -> HttpResponse:
    """Show the form of one operation; of a dead letter, lead to that of its source."""
    row = selection.rows(Actor.of_user(request.user)).first()
    if row is None:
        raise NotFound(_("There is no such row, or none that you may see."), code="not_found")
    if isinstance(row, DeadLetter):
        if row.source_kind != kind_of(PendingOperation):
            raise NotFound(_("%(kind)s cannot be edited.") % {"kind": row.source_kind})
        return HttpResponseRedirect(f"{request.path}?id={row.source_id}")
    if not request.GET.get("id"):  # the one ticked row of a list: its form is posted to an address that names it
        return HttpResponseRedirect(f"{request.path}?id={row.pk}")
    return _Payload(site, request, PendingOperation.objects.select_related("service").get(pk=row.pk)).answer()


class _Payload:
    """One operation's payload on its way through the form."""

    def __init__(self, site: Any, request: HttpRequest, operation: PendingOperation) -> None:
        self.site = site
        self.request = request
        self.operation = operation
        self.actor = Actor.of_user(request.user)
        self.status = 200
        self.banner: Told = {}
        self.base = self._version(request.POST.get("base") or request.GET.get("version", ""))

    def answer(self) -> HttpResponse:
        """Show the form, what would change, or where it went."""
        if self.request.method != "POST" or "payload" not in self.request.POST:
            return self._page(self._fresh())
        form = PayloadForm(self.operation, self.base, self.request.POST)
        valid = form.is_valid()
        if not valid:
            self.status = 422
        elif "confirm" in self.request.POST and form.cleaned_data["seen"] == form.digest:
            sent = self._send(form)
            if sent is not None:
                return sent
        self._compare(form)
        return self._page(form, looked=valid)

    def _fresh(self) -> PayloadForm:
        initial = {"version": version_of(self.operation), "key": token_hex(16)}
        if self.base:
            initial |= {"base": str(self.base.number), "reason": _("Back to version %s") % self.base.number}
        return PayloadForm(self.operation, self.base, initial=initial)

    def _version(self, number: str) -> PayloadVersion | None:
        if not number.isdecimal() or len(number) > 9:
            return None
        return self.operation.versions.filter(number=int(number)).first()

    def _send(self, form: PayloadForm) -> HttpResponse | None:
        given, key = form.cleaned_data, f"{form.cleaned_data['key']}:edit:{self.operation.pk}"
        try:
            record = edit_one(
                self.operation, given["payload"], given["version"], self.actor, reason=given["reason"], key=key
            )
        except Refused as refusal:
            self.status = refusal.http_status
            self.operation.refresh_from_db()
            if version_of(self.operation) == given["version"]:
                form.add_error("reason" if refusal.code == "reason_required" else None, str(refusal))
            return None
        _say(self.request, record)
        return HttpResponseRedirect(reverse("admin:operations_pendingoperation_change", args=[self.operation.pk]))

    def _compare(self, form: PayloadForm) -> None:
        """Where the row is another than the one that was looked at, say by whom and what; nothing typed is lost."""
        now, asked = version_of(self.operation), self.request.POST.get("version", "")
        if asked != now:
            self.status = CONFLICT
            self.banner = {"state": "warning", "words": self._what_happened(asked)}
            write(form, "version", now)
            if hasattr(form, "cleaned_data"):
                form.cleaned_data["version"] = now

    def _what_happened(self, since: str) -> str:
        state = state_label(PendingOperation, self.operation.status)
        item = happened_since(self.operation, since)
        if item is None:
            return _(
                "It moved while you were writing: it is %(state)s now. Nothing you typed is lost, nothing is saved."
            ) % {"state": state}
        move = moves_of(PendingOperation).get(item.verb)
        told = {
            "who": spoken(item.actor_name),
            "verb": move.label if move else item.verb,
            "at": date_format(timezone.localtime(item.created_at), "H:i"),
            "reason": (item.run.given.get("reason") or item.run.given.get("note") or "—") if item.run else "—",
            "state": state,
        }
        return (
            _(
                "While you were writing, %(who)s pressed %(verb)s at %(at)s (%(reason)s): it is %(state)s now. Nothing you"
                " typed is lost, nothing is saved. What stands below is compared with how it is now."
            )
            % told
        )

    def _page(self, form: PayloadForm, looked: bool = False) -> HttpResponse:
        operation = self.operation
        why_not = refusals(PendingOperation, [operation.pk])[operation.pk]["edit"]
        changed = changes(operation.payload, form.cleaned_data["payload"]) if looked else []
        if looked:
            write(form, "seen", form.digest)
        context = {
            "operation": operation,
            "noun": PendingOperation._meta,
            "verb": PendingOperation.edit,
            "form": form,
            "banner": self.banner,
            "why_not": why_not,
            "looked": looked,
            "changes": changed,
            "note": note_of(operation),
            "needed": needed_of(operation),
            "said": said_of(operation),
            "last_error": line(operation.last_error),
            "versions": told_versions(operation),
            "back_url": reverse("admin:operations_pendingoperation_change", args=[operation.pk]),
        }
        return render(
            self.request, "operations/edit.html", self.site.each_context(self.request) | context, status=self.status
        )


class _Rule:
    """One rule for many operations on its way through the form."""

    def __init__(self, site: Any, request: HttpRequest, selection: Selection) -> None:
        self.site = site
        self.request = request
        self.selection = selection
        self.verb = edit_of(selection.model)
        self.actor = Actor.of_user(request.user)
        self.status = 200

    def answer(self) -> HttpResponse:
        """Show the form, what the rule would do to a few rows, or where it went."""
        shown = preview(self.verb, self.selection, self.actor)
        if self.request.method != "POST" or "rule" not in self.request.POST:
            return self._page(shown, RuleForm(self.verb, moving=shown.moving, initial={"key": token_hex(16)}))
        form = RuleForm(self.verb, self.request.POST, moving=shown.moving)
        if not form.is_valid():
            self.status = 422
            return self._page(shown, form)
        if "confirm" in self.request.POST and form.cleaned_data["seen"] == form.digest:
            sent = self._send(form)
            if sent is not None:
                return sent
        return self._page(shown, form, tried(form.cleaned_data["rule"], self.selection, self.actor))

    def _send(self, form: RuleForm) -> HttpResponse | None:
        given, key = form.cleaned_data, f"{form.cleaned_data['key']}:edit:"
        try:
            record = edit_many(
                self.selection, given["rule"], self.actor, reason=given["reason"], pace=form.pacing, key=key
            )
        except Refused as refusal:
            self.status = refusal.http_status
            form.add_error("reason" if refusal.code == "reason_required" else None, str(refusal))
            return None
        _say(self.request, record)
        return HttpResponseRedirect(record.get_absolute_url())

    def _page(self, shown: Any, form: RuleForm, trial: Trial | None = None) -> HttpResponse:
        if trial:
            write(form, "seen", form.digest)
        context = {
            "noun": self.selection.model._meta,
            "verb": self.verb,
            "selection_words": self.selection.words(),
            "preview": shown,
            "refused_count": shown.total - shown.moving,
            "form": form,
            "trial": trial,
            "samples": [told_sample(sample) for sample in trial.samples] if trial else [],
            "example": editable(self.selection, self.actor).first() if not trial else None,
            "hidden": [("id", key) for key in self.selection.ids or ()],
            "back_url": _list_url(self.selection.model),
        }
        return render(
            self.request, "operations/rule.html", self.site.each_context(self.request) | context, status=self.status
        )


def _say(request: HttpRequest, record: ActionRun) -> None:
    tasks.wake_after(record)
    words, level = outcome(PendingOperation.edit, record)
    link = format_html('<a href="{}">{}</a>', record.get_absolute_url(), _("See the run"))
    messages.add_message(request, level, format_html("{} {}", words, link))


def _list_url(model: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


NOTES = {
    Doubles.NATIVE_KEY: gettext_lazy(
        "The same idempotency key goes out. Should %(service)s have taken the earlier body after all, it answers with"
        " that, or refuses another body under this key: its sentence then stands as the error."
    ),
    Doubles.LOOKUP: gettext_lazy(
        "Key and reference stay the same. Should an earlier call have arrived at %(service)s after all, the record that"
        " is found there is linked as it is, without your change."
    ),
    Doubles.UPSERT: gettext_lazy("The same key goes out. %(service)s writes these values over those it has."),
    Doubles.NONE: gettext_lazy(
        "%(service)s offers nothing against doubles. It refused the earlier call, so nothing was done there yet."
    ),
}
"""What the key that never changes means for an edited payload, by what the far end offers against doubles."""


def note_of(operation: PendingOperation) -> str:
    """Say what the key that never changes means where this operation goes."""
    if operation.service.connector not in CONNECTORS:
        return ""
    return str(NOTES[doubles_of(operation)]) % {"service": operation.service}


def needed_of(operation: PendingOperation) -> list[str]:
    """Return the fields that the connector cannot do without."""
    connector = CONNECTORS.get(operation.service.connector)
    known = connector.operations.get(operation.operation_type) if connector else None
    return [name for name, field in known.schema.model_fields.items() if field.is_required()] if known else []


def said_of(operation: PendingOperation) -> list[tuple[str, str]]:
    """Return what the service said of each field when it refused."""
    said = operation.error_fields.items() if isinstance(operation.error_fields, dict) else ()
    return [(name, ", ".join(map(str, why)) if isinstance(why, list) else str(why)) for name, why in said]


def told_versions(operation: PendingOperation) -> list[Told]:
    """Return the newest payloads that an operation has had, each with what changed from the one before."""
    found = list(operation.versions.order_by("-number")[: VERSIONS_SHOWN + 1])
    before: list[PayloadVersion | None] = [*found[1:], None]
    return [_told_version(operation, *pair) for pair in zip(found, before, strict=False)][:VERSIONS_SHOWN]


def _told_version(operation: PendingOperation, version: PayloadVersion, before: PayloadVersion | None) -> Told:
    current = json.dumps(version.payload, sort_keys=True) == json.dumps(operation.payload, sort_keys=True)
    return {
        "version": version,
        "who": spoken(version.made_by),
        "changes": changes(before.payload, version.payload) if before else [],
        "current": current,
        "run_url": reverse("admin:actions_actionrun_change", args=[version.run_id]) if version.run_id else "",
        "edit_url": "" if current else f"{edit_url()}?id={operation.pk}&version={version.number}",
    }


def edit_url() -> str:
    """Return the address of the form."""
    return reverse("admin:operations_pendingoperation_edit")


def told_sample(sample: Sample) -> Told:
    """Return one row that a rule was tried on."""
    return {
        "row": sample.row,
        "url": reverse("admin:operations_pendingoperation_change", args=[sample.row.pk]),
        "before": sample.row.payload,
        "after": sample.after,
        "changes": changes(sample.row.payload, sample.after) if sample.after is not None else [],
        "refusal": sample.refusal,
    }
