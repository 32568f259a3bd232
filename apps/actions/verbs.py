"""Verbs and steps: how a row may move, declared once on its model, as data.

The model class is the registry. `Verb` is offered to people on every face, `Step` is taken by workers only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar, cast
from uuid import UUID

from django.apps import apps
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Case, Expression, Field, IntegerField, Q, QuerySet, Value, When
from django.db.models.sql.compiler import SQLCompiler
from django.utils.functional import Promise
from django.utils.module_loading import import_string
from django.utils.text import get_text_list, slugify
from django.utils.translation import gettext as _
from django.utils.translation import override

from apps.actions.actors import Actor

Words = str | Promise
Unless = Sequence[tuple[Q | str, Words]]

ASKS = ("note", "reason", "until", "owner", "tenant")
"""The words a verb may ask for. See `Verb`."""

WRONG_STATE = 0
"""The refusal number of a row that is in none of the move's sources; `unless` conditions count from 1."""


class Refused(Exception):
    """A verb will not do this. The text says what the row is and what was needed."""

    http_status = 409

    def __init__(self, message: Words, *, code: str = "refused", **extra: Any) -> None:
        super().__init__(str(message))
        self.code = code
        self.extra = extra


class NotPermitted(Refused):
    """The actor lacks the verb's permission."""

    http_status = 403


class NotFound(Refused):
    """No such row, verb or noun, or none that this actor may see."""

    http_status = 404


class Invalid(Refused):
    """The asking itself is wrong: a missing reason, an unknown filter, a moment in the past."""

    http_status = 422


class UnknownFilter(Invalid):
    """A word or a value of a filter that the noun does not know."""

    http_status = 400


class Given(Expression):
    """In `sets`: the value that the person gave (`Given("reason")`), or that the worker found for each row.

    It stands for a column of the list `given` that the statement carries (apps/actions/statements.py). Inside a
    larger expression it needs its `output_field`; alone it takes the field it is written to.
    """

    def __init__(self, name: str, output_field: Field[Any, Any] | None = None) -> None:
        super().__init__(output_field=output_field)
        self.name = name
        self.own_field = output_field

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[str | int, ...]]:
        """Name the column of the list."""
        return f"given.{connection.ops.quote_name(self.name)}", ()


class Move:
    """What verbs and steps have in common: from which states, to which, and what is written.

    `target` None leaves the state as it is. `unless` pairs a condition with the sentence that refuses the row; where the
    condition speaks of rows of an app above, it is the dotted path of a function that returns it.
    `sets` maps columns to values, expressions or `Given`. `then` is the dotted path of one function that gets
    the `Moved` rows inside the same transaction.
    """

    def __init__(
        self,
        label: Words,
        *,
        sources: Sequence[str] = (),
        target: str | None = None,
        unless: Unless = (),
        sets: Mapping[str, Any] | None = None,
        then: str = "",
        help: Words = "",
    ) -> None:
        self.label = label
        self.sources = tuple(sources)
        self.target = target
        self.unless = tuple(unless)
        self.sets = dict(sets or {})
        self.then = then
        self.help = help

    def __set_name__(self, owner: "type[Acted]", name: str) -> None:
        self.model = owner
        self.name = name

    def __repr__(self) -> str:
        return f"{self.model.__name__}.{self.name}"

    def refusal(self) -> Case:
        """Return the expression that is null where the row may move, else the number of the refusal."""
        whens = [When(~Q(status__in=self.sources), then=Value(WRONG_STATE))] if self.sources else []
        whens += [When(_condition(told), then=Value(number)) for number, (told, _words) in enumerate(self.unless, 1)]
        return Case(*whens, default=Value(None), output_field=IntegerField())

    def why_not(self, refusal: int, status: str) -> str:
        """Return the sentence for a refusal number of a row in `status`, without the row's own name."""
        if refusal != WRONG_STATE:
            return str(self.unless[refusal - 1][1])
        return _("%(status)s; %(verb)s needs %(sources)s") % {
            "status": state_label(self.model, status),
            "verb": str(self.label).lower(),
            "sources": get_text_list([state_label(self.model, source) for source in self.sources]),
        }


def _condition(told: Q | str) -> Q:
    condition: Q = import_string(told)() if isinstance(told, str) else told
    return condition


class Verb(Move):
    """A step that staff may take. See `Move`; beyond it:

    `asks` names what the person gives: `note` (free), `reason` (required), `until` (a moment, may be left open),
    `owner` (a sign-in name; left empty, the one who asks), `tenant` (a short name; left empty, all of them).
    `paced` offers canary and rate, and watches the rows settle. `danger` asks for a second look on every face.
    `hints` say more of what it asks. `shows`: its `then` makes secrets (`show_once`), and this is the dotted path of a
    function `(rows, actor)` that raises `NotPermitted` where the actor may not be shown them.
    """

    def __init__(
        self,
        label: Words,
        *,
        asks: Sequence[str] = (),
        paced: bool = False,
        danger: bool = False,
        hints: Mapping[str, Words] | None = None,
        shows: str = "",
        **move: Any,
    ) -> None:
        super().__init__(label, **move)
        self.asks = tuple(asks)
        self.paced = paced
        self.danger = danger
        self.hints = dict(hints or {})
        self.shows = shows

    @property
    def permission(self) -> str:
        """The permission that this verb needs, as `user.has_perm` takes it."""
        return f"{self.model._meta.app_label}.{self.codename}"

    @property
    def codename(self) -> str:
        """The permission's codename: `retry_pendingoperation`."""
        return f"{self.name}_{self.model._meta.model_name}"


class FormVerb(Verb):
    """A verb that needs more than the words a verb may ask for: an ordinary form, and the same record in the end.

    `page` is the name of that form's page in the admin; no other face offers it by itself. `fills` is the dotted path
    of a function `(rows, given)` that gets locked rows and returns, for each, the values that `sets` takes as `Given`,
    or the sentence that refuses it. `asks` may name words of its own, which the form fills in.
    """

    def __init__(self, label: Words, *, page: str, fills: str = "", **verb: Any) -> None:
        super().__init__(label, **verb)
        self.page = page
        self.fills = fills


class Step(Move):
    """A step that only workers take: it is never offered to people and needs no permission."""


@dataclass(frozen=True)
class Lead:
    """The rows that lead, the verb that is run on them, and the rows that follow, with the column of their leader."""

    verb: "Move"
    rows: QuerySet[Any]
    following: QuerySet[Any]
    by: str

    @property
    def followers(self) -> dict[UUID, UUID]:
        """Return which row follows each leading one; read once for each time it is asked."""
        return dict(self.following.values_list(self.by, "pk"))


@dataclass(frozen=True)
class Moved:
    """What a `then` function is told: which rows of which model moved, by which move, and what was given."""

    move: Move
    ids: Sequence[UUID]
    given: Mapping[str, Any]
    actor_name: str
    run_id: UUID | None = None

    @property
    def rows(self) -> QuerySet[Any]:
        """The moved rows, as they stand after the move."""
        return self.move.model._base_manager.filter(pk__in=self.ids)


Row = TypeVar("Row", bound=models.Model, covariant=True)


class ActedQuerySet(QuerySet[Row]):
    """Rows of a noun, as an actor may see them."""

    def visible_to(self, actor: Actor) -> Self:
        """Return the rows that an actor may see: the one seam that every face, verb and preview goes through."""
        options = self.model._meta
        return self if actor.may(f"{options.app_label}.view_{options.model_name}") else self.none()

    def live(self) -> Self:
        """Return the rows that lists and bulk verbs mean when nothing else is said."""
        return self.filter(cast("type[Acted]", self.model).live_rows)


class Acted(models.Model):
    """A noun with verbs: it has a `status` and says how its rows are found and when they count as settled."""

    filters: ClassVar[Mapping[str, str]] = {"status": "status"}
    """The words of a filter, in a URL, an API body or a command, and the lookup each stands for. A lookup that ends in
    `__isnull` takes yes and no, and reads them as "is there"."""

    spelled: ClassVar[Mapping[str, str]] = {}
    """Words of a filter whose values say nothing to a person (a digest, a key), each with the dotted path of a function
    `(value) -> str` that does: selections name themselves by it."""

    searches: ClassVar[Sequence[str]] = ()
    """The lookups that a search text (`q`) is tried against."""

    live_rows: ClassVar[Q] = Q()
    """The rows that lists and bulk verbs mean when nothing else is said (archived rows are not among them)."""

    settles: ClassVar[Mapping[str, Q]] = {}
    """After a paced verb: when a moved row counts as `confirmed`, when as `failed_again`."""

    made_at: ClassVar[str] = "created_at"
    """The column that says since when a row is there: "all that match" means those that were there when it was asked."""

    heavy: ClassVar[Sequence[str]] = ()
    """Columns that may be large and that lists do not read."""

    annotated: ClassVar[bool] = False
    """Whether staff write on its rows (a note, a link), in an ordinary form: who may act on them may then change those."""

    taken_in: ClassVar[bool] = False
    """Whether other systems hand rows in: who may act on them may then add them, too (over the API, not in the admin)."""

    policy: ClassVar[bool] = False
    """Whether its columns are policy that staff change in a form: supervisors begin with Django's own permission for it."""

    looked_at: ClassVar[bool] = False
    """Whether people only look at its rows: it has no verbs and no states, and a list, pages and an API all the same."""

    leads: ClassVar[str] = ""
    """The dotted path of a function `(verb, rows) -> list[Lead]`, for a noun whose rows follow other rows: the verb then
    runs on those, and what they refuse is refused here in the same sentence."""

    foresees: ClassVar[str] = ""
    """The dotted path of a function `(verb, rows, rate) -> Foresight` (apps/actions/foresight.py): what a preview says."""

    leaves: ClassVar[str] = ""
    """The dotted path of a function `(row) -> moment`: when retention takes an archived row away, if it does."""

    wakes: ClassVar[str] = ""
    """The dotted path of the task that goes on where a verb has moved rows; the sweep finds them in any case."""

    status: Any

    objects: ClassVar[models.Manager[Any]] = ActedQuerySet.as_manager()

    class Meta:
        abstract = True


def verbs_of(model: type[models.Model]) -> dict[str, Verb]:
    """Return the verbs of a model by name, in the order of their declaration; those with a form of their own apart."""
    return {name: value for name, value in vars(model).items() if isinstance(value, Verb) and not _has_form(value)}


def form_verbs_of(model: type[models.Model]) -> dict[str, FormVerb]:
    """Return the verbs of a model that have a form of their own, by name."""
    return {name: value for name, value in vars(model).items() if isinstance(value, FormVerb)}


def _has_form(verb: Verb) -> bool:
    return isinstance(verb, FormVerb)


def moves_of(model: type[models.Model]) -> dict[str, Move]:
    """Return the verbs and steps of a model by name, in the order of their declaration."""
    return {name: value for name, value in vars(model).items() if isinstance(value, Move)}


def nouns() -> list[type[Acted]]:
    """Return the models that have verbs, in the order of the installed apps."""
    return [model for model in apps.get_models() if issubclass(model, Acted) and verbs_of(model)]


def looked_at() -> list[type[Acted]]:
    """Return the models whose rows people only look at, in the order of the installed apps."""
    return [model for model in apps.get_models() if issubclass(model, Acted) and model.looked_at]


def kind_of(model: type[models.Model]) -> str:
    """Return the name by which rows of a model are known in history and dead letters: `operations.pendingoperation`."""
    return model._meta.label_lower


def slug_of(model: type[models.Model]) -> str:
    """Return the word that stands for a noun in addresses and on the command line: its English plural."""
    with override("en"):
        return slugify(str(model._meta.verbose_name_plural))


def states_of(model: "type[models.Model]") -> dict[str, str]:
    """Return the states of a model and their words, in the reader's language."""
    columns = {field.name: field for field in model._meta.fields}
    return {str(value): str(label) for value, label in columns["status"].flatchoices}


def state_label(model: "type[models.Model]", status: str) -> str:
    """Return the word for a state of a model, in the reader's language."""
    return states_of(model).get(status, status)
