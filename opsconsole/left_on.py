"""What people left paused, forced open or ignored: by whom, why, since and until when. A page, and a badge on every page.

Whatever can be paused is among it by itself. What is held in another way says so here, in `OTHERS`.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, cast

from django.contrib import admin
from django.db.models import F, Model, Q, QuerySet, Value
from django.db.models.fields import IntegerField
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.actions.actors import Actor, spoken
from apps.actions.admin import VerbAdmin
from apps.actions.models import ActionRun, last_actors
from apps.actions.verbs import Acted, nouns
from apps.deadletters.models import FailureFamily
from apps.integrations.models import CircuitBreaker
from apps.jobs.models import Pausable, RetentionPolicy

Told = dict[str, Any]
COUNTED_UP_TO = 99
"""One more of each noun is read, and shown; the badge then says 99+."""


@dataclass(frozen=True)
class Holding:
    """How rows of a noun are held: which are, the columns that say since and until when and why, and what ends it."""

    model: type[Acted]
    held: Q
    since: str
    until: str
    why: str
    verb: str
    """The verb that lets it go on."""
    by: Sequence[str]
    """The verbs that hold it."""

    @property
    def rows(self) -> QuerySet[Any]:
        """The rows that are held."""
        return self.model._default_manager.filter(self.held).order_by()

    def seen_by(self, request: HttpRequest) -> bool:
        """Say whether the reader may see the noun."""
        options = self.model._meta
        return Actor.of_user(request.user).may(f"{options.app_label}.view_{options.model_name}")


OTHERS = (
    Holding(
        CircuitBreaker,
        Q(forced=True) & ~Q(status=CircuitBreaker.Status.CLOSED),
        *("opened_at", "probe_due_at", "reason", "reset"),
        by=["force_open"],
    ),
    Holding(
        FailureFamily,
        Q(status=FailureFamily.Status.IGNORED) & (Q(ignored_until=None) | Q(ignored_until__gt=Now())),
        *("updated_at", "ignored_until", "note", "acknowledge"),
        by=["ignore"],
    ),
    Holding(
        RetentionPolicy,
        Q(held_at__isnull=False),
        *("held_at", "held_until", "held_reason", "release"),
        by=["hold"],
    ),
    Holding(
        ActionRun,
        Q(status=ActionRun.Status.PAUSED),
        *("updated_at", "", "stop_reason", "resume"),
        by=["pause"],
    ),
)


def holdings(request: HttpRequest) -> list[Holding]:
    """Return every way of holding something that the reader may see."""
    paused = [
        Holding(noun, Q(status="paused"), "paused_at", "paused_until", "paused_reason", "resume", ["pause"])
        for noun in nouns()
        if issubclass(noun, Pausable)
    ]
    return [each for each in (*paused, *OTHERS) if each.seen_by(request)]


def count(request: HttpRequest) -> int:
    """Return how many things are left so, up to a hundred of each noun: one query, once for a request."""
    return sum(number for _each, number in _counted(request))


def _counted(request: HttpRequest) -> list[tuple[Holding, int]]:
    """Return every way of holding with how many rows are held so; kept for the rest of the request."""
    known: list[tuple[Holding, int]] | None = getattr(request, "left_on", None)
    if known is None:
        found = holdings(request)
        counted = Counter(_numbered(found))
        known = [(each, counted[number]) for number, each in enumerate(found)]
        request.left_on = known  # type: ignore[attr-defined] # our own word on it
    return known


def _numbered(found: list[Holding]) -> Iterable[int]:
    """Return the number of its holding for each row that is held, in one query."""
    heads = [
        each.rows.values_list(Value(number, output_field=IntegerField()), flat=True)[: COUNTED_UP_TO + 1]
        for number, each in enumerate(found)
    ]
    return heads[0].union(*heads[1:], all=True) if heads else []


def things(request: HttpRequest, back: str) -> list[Told]:
    """Return what is left so, the longest first, each with its button; a noun of which nothing is held is not read."""
    found = [(each, row) for each, number in _counted(request) if number for row in _read(each)]
    who = last_actors([row.pk for _each, row in found], {verb for each, _row in found for verb in each.by})
    told = [_thing(request, each, row, who.get(row.pk, ""), back) for each, row in found]
    return sorted(told, key=lambda thing: cast("dt.datetime", thing["since"]))


def _read(each: Holding) -> Iterable[Model]:
    named = [field.name for field in each.model._meta.fields if field.many_to_one and field.name == "service"]
    rows = each.rows.select_related(*named) if named else each.rows
    return cast("Iterable[Model]", rows.order_by(F(each.since).asc(nulls_last=True))[: COUNTED_UP_TO + 1])


def _thing(request: HttpRequest, each: Holding, row: Any, who: str, back: str) -> Told:
    pages = cast("VerbAdmin[Any]", admin.site.get_model_admin(each.model))
    options = each.model._meta
    permitted = pages.permitted(request)
    fields = [("key", token_hex(16)), ("back", back)]
    return {
        "what": f"{str(options.verbose_name).capitalize()} {row}",
        "url": _page(row),
        "status": row.status,
        "word": row.get_status_display(),
        "who": spoken(who) if who else "",
        "since": getattr(row, each.since) or row.updated_at,
        "until": getattr(row, each.until) if each.until else None,
        "reason": getattr(row, each.why),
        "verbs": [pages.told_verb(permitted[each.verb], row, fields=fields)] if each.verb in permitted else [],
    }


def _page(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def page(request: HttpRequest) -> HttpResponse:
    """Show all of it; asked by its own moving part, answer with that part alone."""
    told = {"things": things(request, request.path)}
    if request.headers.get("HX-Target") == "left-on":
        return render(request, "console/left_on_live.html", told)
    context = admin.site.each_context(request) | {"title": _("Left paused, forced open or ignored")}
    return render(request, "console/left_on.html", context | told)
