"""The list of a noun: the same filter words and search as on every face, pages by key, and counts that do not scan."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.options import IS_FACETS_VAR, IS_POPUP_VAR, TO_FIELD_VAR
from django.contrib.admin.views.main import ALL_VAR, ERROR_FLAG, ORDER_VAR, PAGE_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import BooleanField, Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.actors import Actor
from apps.actions.selections import Selection
from apps.actions.verbs import Acted, Invalid, kind_of, nouns

OLDER, NEWER = "older_than", "newer_than"
"""The words of a page by key: rows older, or newer, than this one."""
NOT_FILTERS = {OLDER, NEWER, ALL_VAR, ERROR_FLAG, ORDER_VAR, PAGE_VAR, IS_FACETS_VAR, IS_POPUP_VAR, TO_FIELD_VAR}
COUNTED_UP_TO = 10_000
"""More rows than that are estimated by the planner: counting a million takes longer than showing the page."""
MANY = 5
"""Where the planner expects so many times that, nothing is counted: with a filter, ten thousand may stand far apart."""
NAMED_AT_MOST = 100
"""A filter offers so many rows of another noun by name; more are filtered by the address."""
WORDS = {
    "since": gettext_lazy("since"),
    "before": gettext_lazy("before"),
    "due_before": gettext_lazy("to be rotated by"),
    "expires_before": gettext_lazy("expires by"),
    "archived": gettext_lazy("archived"),
}


@dataclass(frozen=True)
class Page:
    """Where a page by key leads: the query strings of its neighbours, and how many rows there are in all."""

    newer: str | None
    older: str | None
    total: int
    estimated: bool


class VerbChangeList(ChangeList):
    """Django's list over a `Selection`: what it shows is what "all that match" would move."""

    model: type[Acted]
    filters: dict[str, str]
    refusal: Invalid | None = None
    """Why the words of the address could not be read; the list is empty then and says so."""
    keyset: Page | None = None
    result_list: Any

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Return the rows that the words of the address select, newest first."""
        self.position = {word: self._take(word) for word in (OLDER, NEWER)}
        self.filters = {word: value for word, value in self.params.items() if word not in NOT_FILTERS}
        self._offer_filters(request)
        try:
            selected = Selection.matching(self.model, self.filters).rows(Actor.of_user(request.user))
        except Invalid as refusal:
            self.refusal = refusal
            selected = cast("Any", self.model)._default_manager.none()
        rows = self.apply_select_related(selected).defer(*self.model.heavy)
        return rows.order_by("-pk") if self.by_key else rows.order_by(*self.get_ordering(request, rows))

    @property
    def by_key(self) -> bool:
        """Whether the newest row comes first, so that walking the key is walking time."""
        return newest_come_first(self.model)

    def get_results(self, request: HttpRequest) -> None:
        """Fetch one page; where the key is time, without ever stepping over rows or counting them all."""
        if not self.by_key:
            super().get_results(request)
            self.result_list = list(self.result_list)
            return
        self.result_list, self.keyset = self._page()
        self.result_count = self.keyset.total
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = False
        self.multi_page = False
        self.paginator: Any = Paginator(self.result_list, self.list_per_page)

    def _take(self, word: str) -> str:
        self.filter_params.pop(word, None)
        return str(self.params.pop(word, ""))

    def _offer_filters(self, request: HttpRequest) -> None:
        params: dict[str, Any] = {word: [value] for word, value in self.filters.items()}
        made = [offer(request, params, self.model, self.model_admin) for offer in self.list_filter]  # type: ignore[operator]
        self.filter_specs = [spec for spec in made if spec.has_output()]
        self.has_filters = bool(self.filter_specs)
        self.has_active_filters = bool({*self.filters} - {"q"})
        self.clear_all_filters_qs = "?"

    def _page(self) -> tuple[list[Any], Page]:
        older, newer = (self._key(self.position[word]) for word in (OLDER, NEWER))
        size = self.list_per_page
        if newer is not None:
            found = list(self.queryset.filter(pk__gt=newer).order_by("pk")[: size + 1])
            if len(found) > size:
                return self._between(found[:size][::-1], is_first=False, is_last=False)
            older = None  # nothing newer is left out: that is the first page
        rows = self.queryset if older is None else self.queryset.filter(pk__lt=older)
        found = list(rows[: size + 1])
        return self._between(found[:size], is_first=older is None, is_last=len(found) <= size)

    def _between(self, found: list[Any], *, is_first: bool, is_last: bool) -> tuple[list[Any], Page]:
        newer = None if is_first or not found else self.get_query_string({NEWER: found[0].pk})
        older = None if is_last or not found else self.get_query_string({OLDER: found[-1].pk})
        total, estimated = (len(found), False) if is_first and is_last else about(self.queryset)
        return found, Page(newer, older, total, estimated)

    def _key(self, text: str) -> UUID | None:
        try:
            return UUID(text) if text else None
        except ValueError:
            return None


def newest_come_first(model: type[Acted]) -> bool:
    """Say whether a noun's rows stand in the order of their key, which is that of time."""
    return model._meta.ordering == ("-id",)


def about(rows: QuerySet[Any]) -> tuple[int, bool]:
    """Return how many rows there are and whether that is an estimate: counted as far as counting is cheap."""
    expected = _expected(rows)
    if expected > COUNTED_UP_TO * MANY:
        return expected, True
    # In the order of the key: the planner then walks an index, where it might begin to read the whole table.
    counted = rows.order_by("-pk")[: COUNTED_UP_TO + 1].count()
    return (counted, False) if counted <= COUNTED_UP_TO else (max(expected, counted), True)


def _expected(rows: QuerySet[Any]) -> int:
    """Return how many rows the planner expects."""
    plan = json.loads(rows.order_by().values("pk").explain(format="json"))
    return int(plan[0]["Plan"]["Plan Rows"])


class WordFilter(admin.SimpleListFilter):
    """One word of a noun's filters, offered in the list. What it selects is the `Selection`'s to say."""

    model: type[Acted]
    word: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the values that can be offered; of a free word only the one that is set."""
        return list(self._choices()) or [(value, value) for value in [self.value()] if value]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> QuerySet[Model]:
        """Leave the rows to the list, which reads all words at once."""
        return queryset

    def _choices(self) -> Iterator[tuple[str, str]]:
        lookup = self.model.filters[self.word]
        column, *path = lookup.split("__")
        field = cast("Any", self.model._meta.get_field(column))
        if path == ["isnull"] or isinstance(field, BooleanField):
            yield from (("yes", _("yes")), ("no", _("no")))
        elif field.related_model and path:
            named = field.related_model._default_manager.order_by(path[0]).values_list(path[0], flat=True)
            yield from ((name, name) for name in named[:NAMED_AT_MOST])
        elif not path and field.flatchoices:
            yield from ((str(value), str(label)) for value, label in field.flatchoices if value)
        elif self.word == "kind":
            yield from ((kind_of(noun), str(noun._meta.verbose_name_plural)) for noun in nouns())


def word_filters(model: type[Acted]) -> list[type[WordFilter]]:
    """Return a list filter for each filter word of a noun."""
    return [
        type(
            f"{word.title()}Filter",
            (WordFilter,),
            {"model": model, "word": word, "parameter_name": word, "title": _title(model, word)},
        )
        for word in model.filters
    ]


def _title(model: type[Acted], word: str) -> Any:
    field = cast("Any", model._meta.get_field(model.filters[word].split("__")[0]))
    return WORDS.get(word, getattr(field, "verbose_name", word))
