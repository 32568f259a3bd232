"""The pages of action runs: the history of everything that people asked for, and how far each asking is."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.admin.lists import OLDER, Page
from apps.actions.admin.pages import Told, VerbAdmin, age, label_of, told_score
from apps.actions.models import ActionItem, ActionRun
from apps.actions.pacing import STAGES
from apps.actions.running import is_watched, model_of
from apps.actions.selections import OF_RUN, OUTCOMES
from apps.actions.verbs import NotFound, state_label

ITEMS_PER_PAGE = 50
REFUSED_SHOWN = 100


@admin.register(ActionRun)
class ActionRunAdmin(VerbAdmin[ActionRun]):
    """History, and the page of a run with its progress, score and controls."""

    list_display = ("asked", "state", "moved_of", "score", "actor_name", "door", "at", "row_verbs")

    def state_counts(self) -> Mapping[str, tuple[int | None, bool]]:
        """Return how many runs are open in each state; the others are as many as there ever were."""
        over = (ActionRun.Status.FINISHED, ActionRun.Status.CANCELLED)
        counts = dict(ActionRun.objects.exclude(status__in=over).order_by().values_list("status").annotate(Count("pk")))
        return {state: (None if state in over else counts.get(state, 0), False) for state in ActionRun.Status.values}

    @admin.display(description=gettext_lazy("what was asked"))
    def asked(self, run: ActionRun) -> str:
        """Name the verb and the rows."""
        return f"{label_of(run)}: {run.selection_words}"

    @admin.display(description=gettext_lazy("moved"))
    def moved_of(self, run: ActionRun) -> str:
        """Say how far it is."""
        return _("%(moved)s of %(total)s") % {"moved": run.moved, "total": run.total}

    @admin.display(description=gettext_lazy("what became of them"))
    def score(self, run: ActionRun) -> str:
        """Say what became of the rows that moved."""
        return told_score(run) if is_watched(run) else ""

    @admin.display(description=gettext_lazy("asked"))
    def at(self, run: ActionRun) -> str:
        """Say when it was asked."""
        return age(run.created_at)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Told | None = None
    ) -> HttpResponse:
        """Show a run. Asked by its own moving part, answer with that part alone."""
        run = self.get_object(request, object_id)
        if run is None or not self.has_view_permission(request, run):
            raise Http404
        live = request.headers.get("HX-Target") == "run-live"
        context = self._told_run(request, run) | ({} if live else _told_items(request, run))
        page = self.admin_site.each_context(request) | context
        return render(request, "actions/run_live.html" if live else "actions/run.html", page)

    def _told_run(self, request: HttpRequest, run: ActionRun) -> Told:
        return {
            "run": run,
            "verb": {"label": label_of(run)},
            "watched": is_watched(run),
            "live": run.status not in (ActionRun.Status.FINISHED, ActionRun.Status.CANCELLED),
            "refused": sorted(run.refusals.items(), key=lambda pair: -pair[1]),
            "refused_rows": [{**row, "url": _address(run.kind, row["id"])} for row in run.refused_rows[:REFUSED_SHOWN]],
            "refused_more": max(run.refused - REFUSED_SHOWN, 0),
            "stages": _stages(run),
            "facts": _facts(run),
            "lists": _lists(run),
            "controls": [verb for verb in self.offered(request, run) if not verb["refusal"]],
        }


def _lists(run: ActionRun) -> Told:
    """Return where exactly the rows stand that each figure of the score counts."""
    try:
        url = reverse(f"admin:{model_of(run.kind)._meta.label_lower.replace('.', '_')}_changelist")
    except (NotFound, NoReverseMatch):
        return {}
    return {outcome: f"{url}?{OF_RUN}={run.pk}:{outcome}" for outcome in OUTCOMES} | {
        "moved": f"{url}?{OF_RUN}={run.pk}"
    }


def _stages(run: ActionRun) -> list[Told]:
    """Return the stages of a canary that has one, each with where it stands."""
    if not run.paced or run.rate_per_second or run.total <= 1:
        return []
    sizes = [*STAGES, max(run.total - sum(STAGES), 0)]
    labels = [_("First one"), _("Then ten"), _("The rest")]
    stages = [{"label": label, "size": size} for label, size in zip(labels, sizes, strict=True)]
    for number, stage in enumerate(stages):
        stage["status"] = _standing(run, number)
        stage["word"] = _("waits") if stage["status"] == "" else state_label(ActionRun, str(stage["status"]))
    return stages


def _standing(run: ActionRun, number: int) -> str:
    if run.stage > number or run.status == ActionRun.Status.FINISHED:
        return str(ActionRun.Status.FINISHED)
    return str(run.status) if run.stage == number else ""


def _facts(run: ActionRun) -> list[tuple[str, str]]:
    words = {"note": _("Note"), "reason": _("Reason"), "until": _("Until"), "owner": _("Owner"), "tenant": _("Tenant")}
    facts = [(words[word], _as_told(word, value)) for word, value in run.given.items() if value and word in words]
    if run.rate_per_second:
        facts.append((_("Pace"), _("%(rate)s rows per second") % {"rate": run.rate_per_second}))
    elif run.paced:
        share = round(run.stop_share * 100)
        facts.append((_("Pace"), _("a canary first; stops when more than %(share)s %% fail again") % {"share": share}))
    return facts


def _as_told(word: str, value: Any) -> str:
    moment = parse_datetime(value) if word == "until" else None
    return date_format(timezone.localtime(moment), "SHORT_DATETIME_FORMAT") if moment else str(value)


def _told_items(request: HttpRequest, run: ActionRun) -> Told:
    """Return one page of the rows that moved, in the order in which they did."""
    after = request.GET.get(OLDER, "")
    # What followed (a dead letter its source) hangs on the same run, and stands on its own row's page.
    items = (
        run.items.filter(kind=run.kind)
        .order_by("id")
        .filter(id__gt=int(after) if after.isdecimal() and len(after) < 19 else 0)
    )
    found = list(items[: ITEMS_PER_PAGE + 1])
    shown = found[:ITEMS_PER_PAGE]
    older = f"?{OLDER}={shown[-1].pk}" if len(found) > ITEMS_PER_PAGE else None
    return {
        "noun": _noun(run),
        "items": _told_rows(run, shown),
        "page": Page("?" if after else None, older, run.moved, False),
    }


def _noun(run: ActionRun) -> Any:
    try:
        return model_of(run.kind)._meta
    except NotFound:
        return ActionRun._meta


def _told_rows(run: ActionRun, items: list[ActionItem]) -> list[Told]:
    names: dict[str, dict[UUID, Any]] = {}
    for kind in {item.kind for item in items}:
        ids = [item.object_id for item in items if item.kind == kind]
        names[kind] = model_of(kind)._default_manager.in_bulk(ids)
    return [_told_row(item, names[item.kind].get(item.object_id)) for item in items]


def _told_row(item: ActionItem, row: Any) -> Told:
    model = model_of(item.kind)
    return {
        "row": str(row) if row else str(item.object_id),
        "url": _address(item.kind, item.object_id) if row else "",
        "moved": f"{state_label(model, item.from_status)} → {state_label(model, item.to_status)}",
        "outcome": item.outcome,
        "outcome_word": str(item.get_outcome_display()) if item.outcome else "",
        "created_at": item.created_at,
    }


def _address(kind: str, key: Any) -> str:
    """Return the page of a row known by its kind and id."""
    return reverse(f"admin:{kind.replace('.', '_')}_change", args=[key])
