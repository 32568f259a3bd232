"""The browser face of every noun, made from its declaration: list, row, detail page and the one preview page."""

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from secrets import token_hex
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME, ActionForm
from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import ShowFacets
from django.contrib.admin.widgets import AdminTextareaWidget
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import formats
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.actions import tasks
from apps.actions.actors import Actor, spoken
from apps.actions.admin import saved
from apps.actions.admin.lists import NOT_FILTERS, VerbChangeList, about, newest_come_first, word_filters
from apps.actions.exporting import checked_rows, csv_lines, xlsx_file
from apps.actions.foresight import leaves_at
from apps.actions.forms import PressForm
from apps.actions.models import ActionItem, ActionRun, history_of
from apps.actions.permissions import require
from apps.actions.running import is_watched, preview, refusals, run, verb_of
from apps.actions.selections import Selection
from apps.actions.shown import Shown
from apps.actions.verbs import (
    Acted,
    FormVerb,
    Invalid,
    NotFound,
    NotPermitted,
    Refused,
    Verb,
    form_verbs_of,
    kind_of,
    moves_of,
    slug_of,
    state_label,
    states_of,
    verbs_of,
)

Noun = TypeVar("Noun", bound=Acted)
Told = dict[str, Any]
"""What a template is told of one thing; each template names the words it reads."""

NOTHING = "—"
"""What a page shows where there is nothing to show; of a `None` Django would show the word."""
DAY = 24 * 3600
EXPORTS = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
"""The files that a list is handed out as."""
FEW = 10
"""So many ticked rows move at a press, where the verb asks for nothing and may be taken back; more are previewed."""


class PressedForm(ActionForm):
    """The list's form: which asking it is, so that a double click is one run, and where to return to."""

    key = forms.CharField(widget=forms.HiddenInput, required=False)


class ReadOnly:
    """For rows that are not policy: nothing is added, changed or deleted by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows come from the work itself."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows move by verbs and steps."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows leave by retention."""
        return False


class VerbAdmin(ReadOnly, admin.ModelAdmin[Noun]):
    """A noun's pages. Nothing is added, changed or deleted here: its verbs are the pens."""

    empty_value_display = "—"
    list_per_page = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    action_form = PressedForm
    preserve_filters = False
    references: tuple[tuple[Any, str], ...] = ()
    """Where to read on before pressing: words and address."""

    # What is declared on the model

    @property
    def verbs(self) -> dict[str, Verb]:
        """The verbs of the noun, in the order of their declaration."""
        return verbs_of(self.model)

    def permitted(self, request: HttpRequest) -> dict[str, Verb]:
        """Return the verbs that the reader may take. Only a courtesy: `run` asks again."""
        actor = Actor.of_user(request.user)
        return {name: verb for name, verb in self.verbs.items() if _may(actor, verb)}

    def forms_permitted(self, request: HttpRequest) -> dict[str, FormVerb]:
        """Return the verbs with a form of their own that the reader may take."""
        actor = Actor.of_user(request.user)
        return {name: verb for name, verb in form_verbs_of(self.model).items() if _may(actor, verb)}

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the rows that the reader may see."""
        return cast("Any", self.model._default_manager).visible_to(Actor.of_user(request.user))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Offer each permitted verb for the ticked rows."""
        offered = {**self.permitted(request), **self.forms_permitted(request)}
        return {name: (self.run_on_ticked, name, verb.label) for name, verb in offered.items()}

    def get_list_filter(self, request: HttpRequest) -> Any:
        """Offer each filter word of the noun."""
        return word_filters(self.model)

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """Show the search where the noun can be searched; `Selection` does it."""
        return list(self.model.searches)

    def get_sortable_by(self, request: HttpRequest) -> Any:
        """Let small lists be sorted; one that walks the key has an order already."""
        return () if newest_come_first(self.model) else super().get_sortable_by(request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[VerbChangeList]:
        """Read the list through a `Selection`."""
        return VerbChangeList

    def get_urls(self) -> list[Any]:
        """Add the address of each verb, and that of the saved views."""
        verbs, saved_views = (self.admin_site.admin_view(view) for view in (self.verb_view, self.saved_view))
        export = self.admin_site.admin_view(self.export_view)
        return [
            *(path(f"export.{kind}", export, {"kind": kind}, name=self._url_name(kind)) for kind in EXPORTS),
            path("verbs/<slug:name>/", verbs, name=self._url_name("verb")),
            path("views/", saved_views, name=self._url_name("views")),
            *super().get_urls(),
        ]

    # The list

    def changelist_view(self, request: HttpRequest, extra_context: Told | None = None) -> HttpResponse:
        """Show the list, or take what was pressed in it."""
        if request.method == "POST":
            return self.run_on_ticked(request)
        response = super().changelist_view(request, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data:
            self._complete_list(request, response)
        return response

    def _complete_list(self, request: HttpRequest, response: TemplateResponse) -> None:
        context = cast("Told", response.context_data)
        changes: VerbChangeList = context["cl"]
        context["tabs"] = self.tabs(changes)
        if request.headers.get("HX-Target") == "tabs":
            response.template_name = "console/tabs.html"
            return
        self.complete_rows(request, changes.result_list)
        context.update(saved.told_views(request, changes.model))
        words = urlencode(changes.filters)
        context["exports"] = [(kind.upper(), f"{self.list_url()}export.{kind}?{words}") for kind in EXPORTS]
        if context["action_form"]:
            context["action_form"].fields["key"].initial = token_hex(16)
        if changes.refusal:
            context["banner"] = {"state": "failed", "words": changes.refusal}
            response.status_code = changes.refusal.http_status

    def saved_view(self, request: HttpRequest) -> HttpResponse:
        """Show the saved views of the list; save, rename or delete one where it was pressed."""
        self.require_view(request)
        if request.method != "POST":
            context = self.admin_site.each_context(request) | {"title": _("Saved views")}
            return saved.page(request, self.model, self.list_url(), context)
        try:
            return saved.change(request, self.model, self.list_url())
        except Refused as refusal:
            return self._refused(request, refusal)

    def export_view(self, request: HttpRequest, kind: str) -> HttpResponseBase:
        """Hand out the ticked rows, or all that match, as a file."""
        ids = request.GET.getlist("id") or request.POST.getlist(ACTION_CHECKBOX_NAME)
        try:
            across = not ids or request.POST.get("select_across") == "1"
            selection = self._matching(request.GET) if across else Selection.ticked(self.model, ids)
            rows = checked_rows(selection, Actor.of_user(request.user))
        except Refused as refusal:
            return self._refused(request, refusal)
        headers = {"Content-Disposition": f'attachment; filename="{slug_of(self.model)}.{kind}"'}
        if kind == "csv":
            return StreamingHttpResponse(csv_lines(rows), content_type=EXPORTS[kind], headers=headers)
        return HttpResponse(xlsx_file(rows), content_type=EXPORTS[kind], headers=headers)

    def complete_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        """Let each row of a page know its legal verbs: found for all at once, by the condition that `run` uses.

        A noun adds what its columns show and what does not stand in its row.
        """
        permitted = self.permitted(request)
        told = refusals(self.model, [row.pk for row in rows]) if permitted else {}
        for row in rows:
            why = told.get(row.pk, {})
            legal = [verb for name, verb in permitted.items() if not why.get(name, "gone")]
            row.legal_verbs = [self.told_verb(verb, row) for verb in legal]

    def tabs(self, changes: VerbChangeList) -> list[Told]:
        """Return the states of the list with their counts."""
        others = {word: value for word, value in changes.filters.items() if word not in ("status", "archived")}
        chosen = changes.filters.get("status", "")
        tabs: list[Told] = [{"state": "", "label": _("All"), "count": None, "url": "?", "current": not changes.filters}]
        for state, (count, estimated) in self.state_counts().items():
            url = changes.get_query_string({**others, "status": state}, ["archived"])
            word = state_label(self.model, state)
            tab = {"state": state, "label": word, "count": count, "estimated": estimated, "url": url}
            tabs.append(tab | {"current": state == chosen})
        if "archived" in self.model.filters:
            url = changes.get_query_string({**others, "archived": "yes"}, ["status"])
            tab = {"state": "archived", "label": _("archived"), "count": None, "url": url}
            tabs.append(tab | {"current": changes.filters.get("archived") == "yes"})
        return tabs

    def state_counts(self) -> Mapping[str, tuple[int | None, bool]]:
        """Return how many rows stand in each state (None: not counted), and whether that is an estimate."""
        rows = cast("Any", self.model)._default_manager.filter(self.model.live_rows)
        return {state: about(rows.filter(status=state)) for state in states_of(self.model)}

    @admin.display(description=gettext_lazy("state"), ordering="status")
    def state(self, row: Noun) -> SafeString:
        """Show the state as colour and word, and of an archived row when it goes."""
        shown, goes = badge(row.status, state_label(self.model, row.status)), countdown(row)
        return format_html("{} {}", shown, goes) if goes else shown

    @admin.display(description=gettext_lazy("verbs"))
    def row_verbs(self, row: Noun) -> SafeString:
        """Show the verbs that are legal for the row."""
        verbs = getattr(row, "legal_verbs", [])
        return render_to_string("console/row_verbs.html", {"verbs": verbs, "name": str(row)})

    def run_on_ticked(self, request: HttpRequest, *_stock: Any) -> HttpResponse:
        """Take a verb that was pressed for the ticked rows of the list, or for all that match it."""
        names = request.POST.getlist("action")
        index = request.POST.get("index", "0")
        name = names[int(index)] if index.isdecimal() and int(index) < len(names) else ""
        ids = request.POST.getlist(ACTION_CHECKBOX_NAME)
        forms = form_verbs_of(self.model)
        if name not in {*self.verbs, *forms} or not (ids or request.POST.get("select_across") == "1"):
            messages.warning(request, _("Tick the rows first, or choose all that match. Nothing was done."))
            return HttpResponseRedirect(request.get_full_path())
        across = request.POST.get("select_across") == "1"
        if name in forms:
            return self._lead_to_form(request, forms[name], across)
        return self._answer(request, self.verbs[name], request.GET if across else None, () if across else ids)

    def _lead_to_form(self, request: HttpRequest, verb: FormVerb, across: bool) -> HttpResponse:
        """Lead to the verb's own form: with the words of the list, or with its ticked rows, posted on as they are."""
        if across:
            words = {word: str(request.GET[word]) for word in request.GET if word not in NOT_FILTERS}
            return HttpResponseRedirect(form_url(verb, **words))
        return HttpResponse(status=307, headers={"Location": form_url(verb)})

    # One verb: look, press, be refused

    def verb_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show what a verb would do; do it where it was pressed."""
        verb = self.verbs.get(name)
        if verb is None:
            raise Http404
        ids = request.GET.getlist("id") or request.POST.getlist("id")
        return self._answer(request, verb, None if ids else request.GET, ids)

    def _answer(self, request: HttpRequest, verb: Verb, words: QueryDict | None, ids: Iterable[str]) -> HttpResponse:
        try:
            require(Actor.of_user(request.user), verb)
            selection = Selection.ticked(self.model, ids) if words is None else self._matching(words)
            looks = request.method != "POST" or "look" in request.POST
            if not looks and ("confirm" in request.POST or _at_once(verb, selection)):
                return self._press(request, verb, selection)
            return self._preview(request, verb, selection)
        except Refused as refusal:
            return self._refused(request, refusal)

    def _matching(self, words: QueryDict) -> Selection:
        return Selection.matching(self.model, {word: str(words[word]) for word in words if word not in NOT_FILTERS})

    def _press(self, request: HttpRequest, verb: Verb, selection: Selection) -> HttpResponse:
        confirmed = "confirm" in request.POST
        form = PressForm(verb, request.POST)
        given, pace = {}, None
        if confirmed:
            if not form.is_valid():
                return self._preview(request, verb, selection, form=form, status=422)
            given, pace = form.given, form.pacing
        try:
            actor, key = Actor.of_user(request.user), _key(request, verb, selection)
            record = run(verb, selection, actor, given=given, pace=pace, idempotency_key=key)
        except Invalid as refusal:
            if not confirmed:
                raise
            return self._preview(request, verb, selection, form=form, refusal=refusal)
        if record.shown_once:
            return self.show_once(request, record.shown_once, self._back(request))
        self._say(request, verb, record)
        return HttpResponseRedirect(self._after(request, record))

    def show_once(self, request: HttpRequest, shown: Sequence[Shown], back_url: str) -> HttpResponse:
        """Answer with what was made and is shown now alone: no message and no session carries it to another page."""
        context = {"shown": shown, "noun": self.opts, "back_url": back_url}
        return render(request, "actions/shown.html", self.admin_site.each_context(request) | context)

    def _preview(
        self,
        request: HttpRequest,
        verb: Verb,
        selection: Selection,
        *,
        form: PressForm | None = None,
        refusal: Refused | None = None,
        status: int = 200,
    ) -> HttpResponse:
        shown = preview(verb, selection, Actor.of_user(request.user), rate=_rate(request))
        form = form or PressForm(verb, moving=shown.moving, initial=_proposed(request))
        if refusal:
            form.add_error(None, str(refusal))
            status = refusal.http_status
        context = {
            "verb": verb,
            "noun": self.opts,
            "selection_words": selection.words(),
            "preview": shown,
            "refused_count": shown.total - shown.moving,
            "form": form,
            "hidden": [("id", key) for key in selection.ids or ()] + [("back", self._back(request))],
            "press_url": self.verb_url(verb, filters=selection.filters if selection.ids is None else {}),
            "back_url": self._back(request),
            "references": self.references,
        }
        return render(request, "actions/preview.html", self.admin_site.each_context(request) | context, status=status)

    def _refused(self, request: HttpRequest, refusal: Refused) -> HttpResponse:
        context = {"refusal": refusal, "noun": self.opts, "back_url": self._back(request)}
        page = self.admin_site.each_context(request) | context
        return render(request, "actions/refusal.html", page, status=refusal.http_status)

    def _say(self, request: HttpRequest, verb: Verb, record: ActionRun) -> None:
        words, level = outcome(verb, record)
        if verb.shows:  # the same form, sent again
            words += " " + _("What it made was shown once, in the first answer, and is not kept.")
        link = format_html('<a href="{}">{}</a>', record.get_absolute_url(), _("See the run"))
        messages.add_message(request, level, format_html("{} {}", words, link))

    def _after(self, request: HttpRequest, record: ActionRun) -> str:
        tasks.wake_after(record)
        if record.status in ActionRun.OPEN and self.model is not ActionRun:
            return record.get_absolute_url()
        return self._back(request)

    def _back(self, request: HttpRequest) -> str:
        """Return the page of ours that the person came from, or the list."""
        back = request.POST.get("back", "")
        if request.method == "POST" and request.path == self.list_url():
            back = request.get_full_path()
        if back and url_has_allowed_host_and_scheme(back, None):
            return back
        return self.list_url()

    # One row

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Told | None = None
    ) -> HttpResponse:
        """Show a row: its state, what may be done with it and what happened to it."""
        row = self.get_object(request, object_id)
        told = self.told(request, row) if row is not None else {}
        return super().change_view(request, object_id, form_url, told | (extra_context or {}))

    def told(self, request: HttpRequest, row: Noun) -> Told:
        """Return what the detail page says beyond the columns. A noun adds its own."""
        return {
            "title": str(row),
            "status": row.status,
            "status_word": state_label(self.model, row.status),
            "goes": countdown(row),
            "verbs": self.offered(request, row),
            "entries": self.timeline(row),
            "references": self.references,
        }

    def offered(self, request: HttpRequest, row: Noun) -> list[Told]:
        """Return the verbs of a row: legal ones, and the others with why not."""
        why = refusals(self.model, [row.pk]).get(row.pk, {})
        key = token_hex(16)
        pressed = [
            self.told_verb(verb, row, why.get(name, ""), [("key", key), ("back", request.path)])
            for name, verb in self.permitted(request).items()
        ]
        filled_in = [
            self.told_verb(verb, row, why.get(name, "")) | {"link": form_url(verb, id=str(row.pk))}
            for name, verb in self.forms_permitted(request).items()
        ]
        return [*pressed, *filled_in]

    def told_verb(self, verb: Verb, row: Any, refusal: str = "", fields: Iterable[tuple[str, str]] = ()) -> Told:
        """Return a verb of a row as templates read it."""
        return {
            "name": verb.name,
            "label": verb.label,
            "help": verb.help,
            "danger": verb.danger,
            "url": self.verb_url(verb, row),
            "refusal": refusal,
            "fields": fields,
        }

    def timeline(self, row: Noun) -> list[Told]:
        """Return all that happened to a row, newest first. A noun adds what its own records tell."""
        told = [told_item(self.model, item) for item in history_of(row.pk)[:HISTORY_AT_MOST]]
        return newest_first([*told, *_last_refusal(row)])

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Told | None = None) -> HttpResponse:
        """Show the same timeline on a page of its own."""
        row = self.get_object(request, object_id)
        if row is None or not self.has_view_permission(request, row):
            raise Http404
        context = {"object": row, "opts": self.opts, "entries": self.timeline(row)}
        return render(request, "actions/history.html", self.admin_site.each_context(request) | context)

    def require_view(self, request: HttpRequest) -> None:
        """Turn away who may not see the noun, on pages beside Django's own."""
        if not self.has_view_permission(request):
            raise PermissionDenied

    # Addresses

    def verb_url(self, verb: Verb, row: Any = None, filters: Mapping[str, str] | None = None) -> str:
        """Return the address of a verb for one row, or for all that match a filter."""
        words = QueryDict(mutable=True)
        words.update({"id": str(row.pk)} if row is not None else dict(filters or {}))
        url = reverse(f"admin:{self._url_name('verb')}", args=[verb.name])
        return f"{url}?{words.urlencode()}" if words else url

    def list_url(self) -> str:
        """Return the address of the list."""
        return reverse(f"admin:{self._url_name('changelist')}")

    def _url_name(self, page: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"


class PolicyAdmin(VerbAdmin[Noun]):
    """A noun whose columns are policy: an ordinary form by Django's own permissions, audited by its log, beside the verbs."""

    formfield_overrides = {models.JSONField: {"widget": AdminTextareaWidget(attrs={"rows": 3})}}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Ask for Django's permission."""
        return admin.ModelAdmin.has_add_permission(self, request)

    def has_change_permission(self, request: HttpRequest, obj: Noun | None = None) -> bool:
        """Ask for Django's permission."""
        return admin.ModelAdmin.has_change_permission(self, request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Noun | None = None) -> bool:
        """Ask for Django's permission."""
        return admin.ModelAdmin.has_delete_permission(self, request, obj)

    def timeline(self, row: Noun) -> list[Told]:
        """Return its moves and who edited it."""
        edits = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(row), object_id=str(row.pk))
        told = [told_edit(entry) for entry in edits.select_related("user").order_by("-id")[:HISTORY_AT_MOST]]
        return newest_first([*super().timeline(row), *told])


def form_url(verb: FormVerb, **words: str) -> str:
    """Return the address of a verb's own form, for the rows that the words select."""
    return f"{reverse(f'admin:{verb.page}')}?{urlencode({'kind': kind_of(verb.model), **words})}"


RUNS_SEARCHED = 200
"""The last refusal of a row is looked for in so many of the newest runs."""
HISTORY_AT_MOST = 200
"""So many entries of a row are shown; a row that has more is stuck in a loop, and the newest tell."""


def badge(status: str, word: str) -> SafeString:
    """Return a state as colour, shape and word."""
    return render_to_string("console/state.html", {"status": status, "word": word})


def age(moment: dt.datetime | None) -> str:
    """Return a moment as an age, with the exact time as its title."""
    return render_to_string("console/age.html", {"moment": moment})


def span(value: dt.timedelta) -> str:
    """Return how long something took, as people say it."""
    return render_to_string("console/span.html", {"span": value}).strip()


def countdown(row: Acted) -> str:
    """Return when an archived row is deleted, in words; nothing where it stays."""
    moment = leaves_at(row)
    if moment is None:
        return ""
    left = math.ceil((moment - dt.datetime.now(dt.UTC)).total_seconds() / DAY)  # only for reading
    words = (
        _("goes with the next purge") if left < 1 else ngettext("goes in %(days)s day", "goes in %(days)s days", left)
    )
    title = formats.date_format(localtime(moment), "SHORT_DATETIME_FORMAT")
    return format_html('<span class="soft" title="{}">{}</span>', title, words % {"days": left})


def figure(number: int) -> str:
    """Return a number with its thousands apart, as the reader writes it."""
    return str(formats.number_format(number, use_l10n=True, force_grouping=True))


def line(text: str) -> str:
    """Return the first line of a text, bounded, as lists show it."""
    return Truncator(text.strip().partition("\n")[0]).chars(140)


def told_item(model: type[Acted], item: ActionItem) -> Told:
    """Return an item of the history as the timeline reads it."""
    move = moves_of(model).get(item.verb)
    run_of_it = item.run
    given = (
        [str(run_of_it.given[word]) for word in ("reason", "note") if run_of_it.given.get(word)] if run_of_it else []
    )
    return {
        "at": item.created_at,
        "kind": "action" if run_of_it else "step",
        "label": move.label if move else item.verb,
        "state": item.to_status,
        "word": state_label(model, item.to_status),
        "who": f"{item.actor_name}, {run_of_it.get_door_display()}" if run_of_it else spoken(item.actor_name),
        "detail": " ".join([*given, str(item.get_outcome_display()) if item.outcome else ""]).strip(),
        "url": run_of_it.get_absolute_url() if run_of_it else "",
        "link": told_score(run_of_it) if run_of_it else "",
    }


def told_edit(entry: LogEntry) -> Told:
    """Return an edit of a policy row as the timeline reads it."""
    return {
        "at": entry.action_time,
        "kind": "action",
        "label": _("Made") if entry.is_addition() else _("Edited"),
        "who": entry.user.get_username(),
        "detail": "" if entry.is_addition() else entry.get_change_message(),
    }


def newest_first(entries: Iterable[Told]) -> list[Told]:
    """Return the entries of a timeline in its order."""
    return sorted(entries, key=lambda entry: cast("dt.datetime", entry["at"]), reverse=True)


def _last_refusal(row: Acted) -> list[Told]:
    """Return the last time that a bulk run refused the row, with its sentence."""
    recent = ActionRun.objects.filter(kind=kind_of(type(row))).order_by("-id").values_list("pk", flat=True)
    runs = ActionRun.objects.filter(pk__in=list(recent[:RUNS_SEARCHED]), refused__gt=0).order_by("-id")
    found = runs.filter(refused_rows__contains=[{"id": str(row.pk)}]).first()
    if found is None:
        return []
    why = next(each["why"] for each in found.refused_rows if each["id"] == str(row.pk))
    return [
        {
            "at": found.created_at,
            "kind": "action",
            "label": _("%(verb)s: refused") % {"verb": label_of(found)},
            "who": f"{found.actor_name}, {found.get_door_display()}",
            "detail": why,
            "url": found.get_absolute_url(),
            "link": told_score(found),
        }
    ]


def label_of(record: ActionRun) -> str:
    """Return the label of the verb that was run; one that is no longer declared keeps its name."""
    try:
        return str(verb_of(record).label)
    except (NotFound, AttributeError):
        return record.verb


def told_score(record: ActionRun) -> str:
    """Return what became of a run in a few words."""
    if is_watched(record) and record.moved:
        return _("%(confirmed)s of %(moved)s confirmed") % {"confirmed": record.confirmed, "moved": record.moved}
    return ngettext("run of %(count)s row", "run of %(count)s rows", record.moved) % {"count": record.moved}


def outcome(verb: Verb, record: ActionRun) -> tuple[str, int]:
    """Return what a run came to so far, in a sentence, and how grave that is."""
    if verb.model is ActionRun:
        return _("%(verb)s: done.") % {"verb": verb.label}, messages.SUCCESS
    if record.status in ActionRun.OPEN:
        words = ngettext(
            "%(verb)s: %(total)s row is on its way.", "%(verb)s: %(total)s rows are on their way.", record.total
        )
        return words % {"verb": verb.label, "total": figure(record.total)}, messages.INFO
    words = ngettext("%(verb)s: %(moved)s row moved.", "%(verb)s: %(moved)s rows moved.", record.moved)
    if record.refused:
        words += " " + ngettext("%(refused)s was refused.", "%(refused)s were refused.", record.refused)
    told = words % {"verb": verb.label, "moved": figure(record.moved), "refused": figure(record.refused)}
    return told, messages.WARNING if record.refused else messages.SUCCESS


def _may(actor: Actor, verb: Verb) -> bool:
    try:
        require(actor, verb)
    except NotPermitted:
        return False
    return True


def _rate(request: HttpRequest) -> float | None:
    """Return the rate that the form has so far; what is wrong with it is said when it is sent."""
    if request.POST.get("pace") != "rate":
        return None
    try:
        rate = float(request.POST.get("rate", ""))
    except ValueError:
        return None
    return rate if 0 < rate <= 10_000 else None


def _at_once(verb: Verb, selection: Selection) -> bool:
    """Say whether a press needs no second look: few ticked rows, nothing to fill in, nothing dangerous."""
    count = len(selection.ids or ())
    return bool(count) and not (verb.asks or verb.danger) and (count == 1 or (count <= FEW and not verb.paced))


def _proposed(request: HttpRequest) -> Told:
    """Return what the preview's form begins with: a key, the reader as owner, and the pace that a button asked for."""
    asked = {word: request.POST[word] for word in ("pace", "rate") if request.POST.get(word)}
    return {"key": token_hex(16), "owner": request.user.get_username()} | asked


def _key(request: HttpRequest, verb: Verb, selection: Selection) -> str | None:
    """Return what makes the same form sent twice the same asking. A list's form has a button per row and verb."""
    key = request.POST.get("key", "")[:64]
    return f"{key}:{verb.name}:{selection.ids[0] if selection.ids and len(selection.ids) == 1 else ''}" if key else None
