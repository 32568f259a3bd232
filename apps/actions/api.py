"""The API of every noun, made from its declaration: list, detail, and each verb on one row and on many."""

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from ninja import Query, Router, Schema, Status
from pydantic import BaseModel, Field, create_model

from apps.actions import running
from apps.actions.actors import Actor
from apps.actions.leases import Leased
from apps.actions.models import ActionRun
from apps.actions.permissions import require_view
from apps.actions.running import Preview
from apps.actions.schemas import (
    Asked,
    AskedOfMany,
    Done,
    DoneMany,
    Previewed,
    WithHistory,
    WithShown,
    asked_of,
    pace_of,
)
from apps.actions.selections import OF_RUN, Selection
from apps.actions.tasks import wake_after
from apps.actions.verbs import Acted, ActedQuerySet, NotFound, Verb, Words, state_label, verbs_of

Answer = TypeVar("Answer", bound=BaseModel)
IdOf = Callable[[Actor, str], str]
"""Returns the id that a name in an address stands for; refuses an actor who may not see the noun."""

PAGE_WORDS = {"limit", "after"}
"""What a list is asked beside the words of the noun's filter."""


def actor_of(request: HttpRequest) -> Actor:
    """Return who asks: the root has let nobody else in."""
    actor: Actor = request.auth  # type: ignore[attr-defined] # written by ninja after authentication
    return actor


def routes(
    model: type[Acted],
    row: type[Schema],
    router: Router | None = None,
    detail: type[Schema] | None = None,
    id_of: IdOf | None = None,
) -> Router:
    """Add a noun's list, detail and verbs to its router; what the router has already comes first.

    Rows that have names say with `id_of` which id a name in the address stands for.
    """
    router, id_of = router or Router(), id_of or _itself
    detail = detail or create_model(f"{row.__name__}WithHistory", __base__=(row, WithHistory))
    if not _lists(router):
        _add_list(router, model, row)
    for verb in verbs_of(model).values():
        _add_verb_on_many(router, verb)  # fixed words before `{id}`
    _add_detail(router, model, detail, id_of)
    for verb in verbs_of(model).values():
        _add_verb_on_one(router, verb, id_of)
    return router


def listed(request: HttpRequest, model: type[Acted], words: Any) -> dict[str, Any]:
    """Return a page of a noun's list as the words of the address have it (made by `asking`), newest first."""
    require_view(actor_of(request), model)
    rows = with_references(_matching(request, model).rows(actor_of(request))).order_by("-pk").defer(*model.heavy)
    items, further = page(request, rows.filter(pk__lt=words.after) if words.after else rows, words.limit)
    return {"items": items, "next": further}


def asking(model: type[Acted]) -> type[BaseModel]:
    """Return the words that a noun's list takes: those of its filter, and which page."""
    texts: dict[str, Any] = dict.fromkeys(
        [*model.filters, OF_RUN, *(["q"] if model.searches else [])], (str | None, None)
    )
    return create_model(
        f"{model.__name__}Asking", limit=(int, Field(50, ge=1, le=200)), after=(UUID | None, None), **texts
    )


def found(model: type[Acted], id: str, actor: Actor) -> Any:
    """Return one row with what it refers to; `NotFound` where there is none that the actor may see."""
    require_view(actor, model)
    row = with_references(Selection.ticked(model, [id]).rows(actor)).first()
    if row is None:
        raise NotFound(
            _("There is no %(noun)s %(id)s.") % {"noun": model._meta.verbose_name, "id": id}, code="not_found"
        )
    return row


def with_references(rows: ActedQuerySet[Any]) -> ActedQuerySet[Any]:
    """Read the rows that each row refers to in the same query; of other work, which may be large, its id is enough."""
    named = [field for field in rows.model._meta.fields if field.many_to_one]
    return rows.select_related(*[field.name for field in named if not issubclass(field.related_model, Leased)])


def page(request: HttpRequest, rows: ActedQuerySet[Any], limit: int) -> tuple[list[Any], str | None]:
    """Return the next rows of an ordered queryset, and the address of those behind them."""
    items = list(rows[: limit + 1])
    if len(items) <= limit:
        return items, None
    words = request.GET.copy()
    words["after"] = str(items[limit - 1].pk)
    words.pop("offset", None)
    return items[:limit], f"{request.path}?{words.urlencode()}"


def answered(record: ActionRun, response: HttpResponse, answer: Answer) -> Status[Answer]:
    """Answer 200 where the run is done, else 202 with the address of the run."""
    if record.status not in ActionRun.OPEN:
        return Status(200, answer)
    response["Location"] = reverse("api:actionrun", args=[record.pk])
    return Status(202, answer)


def _lists(router: Router) -> bool:
    """Say whether a noun answers its list in a way of its own."""
    own = router.path_operations.get("")
    return own is not None and any("GET" in operation.methods for operation in own.operations)


def _itself(actor: Actor, id: str) -> str:
    return id


def _add_list(router: Router, model: type[Acted], row: type[Schema]) -> None:
    plural = model._meta.verbose_name_plural
    Asking, Page = asking(model), _page_of(row)

    @router.get("", response=Page, summary=f"List {plural}", operation_id=f"{model._meta.model_name}_list")
    def listing(request: HttpRequest, words: Query[Asking]) -> Any:  # type: ignore[valid-type] # made from the filters
        """Newest first. Follow `next` for more."""
        return listed(request, model, words)


def _matching(request: HttpRequest, model: type[Acted]) -> Selection:
    """Read the filter from the address itself, so that a word it does not know is refused and not passed over."""
    return Selection.matching(model, {word: str(request.GET[word]) for word in request.GET if word not in PAGE_WORDS})


def _page_of(row: type[Schema]) -> type[Schema]:
    return create_model(f"{row.__name__}Page", __base__=Schema, items=(list[row], ...), next=(str | None, ...))  # type: ignore[valid-type] # a class made for this noun


def _add_detail(router: Router, model: type[Acted], detail: type[Schema], id_of: IdOf) -> None:
    name = model._meta.model_name

    @router.get(
        "/{id}",
        response=detail,
        summary=f"Show one {model._meta.verbose_name}",
        operation_id=f"{name}_show",
        url_name=name,
    )
    def show(request: HttpRequest, id: str) -> Any:
        return found(model, id_of(actor_of(request), id), actor_of(request))


def _add_verb_on_one(router: Router, verb: Verb, id_of: IdOf) -> None:
    Given, Answer = asked_of(verb, Asked), _answer_of(verb, Done)
    told = _documented(verb, verb.model._meta.verbose_name)
    # Where a reason is needed there is nothing to be done without a body; else it may be left out, as runbook 0 does.
    default: Any = ... if "reason" in verb.asks else Given()

    @router.post(f"/{{id}}/{verb.name}", response=Answer | Previewed, operation_id=f"{verb.codename}_one", **told)
    def act(request: HttpRequest, id: str, body: Given = default) -> Any:  # type: ignore[valid-type] # made from the verb
        asked: Asked = body
        actor = actor_of(request)
        selection = Selection.ticked(verb.model, [id_of(actor, id)])
        if asked.dry_run:
            return _previewed(running.preview(verb, selection, actor))
        record = running.run(verb, selection, actor, given=asked.given(verb))
        wake_after(record)
        row = selection.rows().get()
        state = {"verb": verb.label, "row": row, "state": state_label(verb.model, row.status)}
        words = _("%(verb)s: %(row)s is %(state)s.") % state
        return Answer(message=words, action_run=record.pk, status=row.status, **_shown(request, record, verb))


def _add_verb_on_many(router: Router, verb: Verb) -> None:
    Given, Answer = asked_of(verb, AskedOfMany), _answer_of(verb, DoneMany)
    told = _documented(verb, verb.model._meta.verbose_name_plural)

    @router.post(
        f"/{verb.name}",
        response={200: Answer | Previewed, 202: Answer},
        operation_id=f"{verb.codename}_many",
        **told,
    )
    def act(request: HttpRequest, response: HttpResponse, body: Given) -> Any:  # type: ignore[valid-type] # made from the verb
        asked: AskedOfMany = body
        selection, actor = asked.selection(verb.model), actor_of(request)
        if asked.dry_run:
            pace = pace_of(asked)
            return _previewed(running.preview(verb, selection, actor, rate=pace.rate if pace else None))
        record = running.run(verb, selection, actor, given=asked.given(verb), pace=pace_of(asked))
        wake_after(record)
        return answered(record, response, Answer(**_score(record), **_shown(request, record, verb)))


def _answer_of(verb: Verb, base: type[BaseModel]) -> type[BaseModel]:
    """Return what a verb answers; one that makes secrets shows them there."""
    return create_model(f"{base.__name__}Showing", __base__=(base, WithShown)) if verb.shows else base


def _shown(request: HttpRequest, record: ActionRun, verb: Verb) -> dict[str, Any]:
    """Return the secrets of a run for the answer, and mark the request: an answer that is kept must not hold them."""
    if not verb.shows:
        return {}
    request.shows_once = True  # type: ignore[attr-defined] # read where answers are kept for an Idempotency-Key
    return {"shown_once": [{"label": each.label, "text": each.text} for each in record.shown_once]}


def _documented(verb: Verb, rows: Words | None) -> dict[str, Any]:
    """Return what the documentation says of a verb."""
    return {"summary": f"{verb.label} {rows}", "description": str(verb.help)}


def done_many(record: ActionRun) -> DoneMany:
    """Return how a run over many rows stands, as the API answers it."""
    return DoneMany(**_score(record))


def _score(record: ActionRun) -> dict[str, Any]:
    open_still = record.status in ActionRun.OPEN
    words = _("%(total)s rows are queued.") if open_still else _("%(moved)s of %(total)s rows moved.")
    return {
        "message": words % {"total": record.total, "moved": record.moved},
        "action_run": record.pk,
        "status": record.status,
        "total": record.total,
        "moved": record.moved,
        "refused": record.refused,
        "refusals": record.refusals,
    }


def _previewed(preview: Preview) -> Previewed:
    return Previewed(
        total=preview.total,
        moving=preview.moving,
        refused=preview.total - preview.moving,
        refusals=dict(preview.refused),
        sample=[row.pk for row in preview.sample],
        effects=preview.effects,
        about=preview.foresight.about,
        settled=preview.foresight.settled,
        in_the_way=preview.foresight.in_the_way,
        duration=preview.foresight.duration,
    )
