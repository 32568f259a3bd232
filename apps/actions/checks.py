"""Is each declaration sound? Run by `manage.py check` and at every start."""

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import Expression
from django.utils.module_loading import import_string

from apps.actions.verbs import ASKS, Acted, FormVerb, Given, Move, Verb, moves_of, nouns, states_of


def check_moves(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with the verbs and steps of every noun."""
    moves = (error for model in nouns() for move in moves_of(model).values() for error in _errors(model, move))
    return [*moves, *(error for model in nouns() for error in _noun_errors(model))]


def _errors(model: type[Acted], move: Move) -> Iterator[CheckMessage]:
    known = states_of(model)
    for state in {*move.sources, *([move.target] if move.target else [])} - set(known):
        yield Error(f"{move!r} names the state {state!r}, which {model.__name__} does not have.", id="actions.E001")
    for column in move.sets:
        if not _is_column(model, column) or column == "status":
            yield Error(f"{move!r} sets {column!r}, which is no column that a move may set.", id="actions.E002")
    if move.then and not _imports(move.then):
        yield Error(f"{move!r} names then={move.then!r}, which cannot be imported.", id="actions.E003")
    for path, _words in move.unless:
        if isinstance(path, str) and not _imports(path):
            yield Error(f"{move!r} names unless={path!r}, which cannot be imported.", id="actions.E013")
    if isinstance(move, FormVerb) and move.fills and not _imports(move.fills):
        yield Error(f"{move!r} names fills={move.fills!r}, which cannot be imported.", id="actions.E011")
    if isinstance(move, Verb):
        yield from _verb_errors(model, move)


def _verb_errors(model: type[Acted], verb: Verb) -> Iterator[CheckMessage]:
    own = isinstance(verb, FormVerb)  # its form asks for words of its own, and `fills` gives more
    for word in set(verb.asks) - set(ASKS if not own else verb.asks):
        yield Error(f"{verb!r} asks for {word!r}.", hint=f"A verb asks for {', '.join(ASKS)}.", id="actions.E004")
    if not verb.help:
        yield Error(f"{verb!r} has no help.", hint="Say in one sentence what it does.", id="actions.E005")
    if verb.paced and not model.settles:
        yield Error(f"{verb!r} is paced, but {model.__name__} does not say what settles.", id="actions.E006")
    if verb.shows and not _imports(verb.shows):
        yield Error(f"{verb!r} names shows={verb.shows!r}, which cannot be imported.", id="actions.E010")
    for word in _given(verb) - set(verb.asks if not own else _given(verb)):
        yield Error(f"{verb!r} writes {word!r}, which it does not ask for.", id="actions.E007")


def _noun_errors(model: type[Acted]) -> Iterator[CheckMessage]:
    paths = {word: getattr(model, word) for word in ("leads", "wakes", "foresees", "leaves")}
    for word, path in paths.items():
        if path and not _imports(path):
            yield Error(f"{model.__name__} names {word}={path!r}, which cannot be imported.", id="actions.E008")
    for word, lookup in model.filters.items():
        if not _is_column(model, lookup.split("__")[0]):
            yield Error(f"The filter {word!r} of {model.__name__} looks at {lookup!r}: no column.", id="actions.E009")
        elif "__" not in lookup and model._meta.get_field(lookup).is_relation:
            hint = "Name a column of what it points to, or isnull."
            yield Error(f"The filter {word!r} of {model.__name__} looks at a relation.", hint=hint, id="actions.E012")


def _given(verb: Verb) -> set[str]:
    expressions = [value for value in verb.sets.values() if isinstance(value, Expression)]
    return {part.name for value in expressions for part in value.flatten() if isinstance(part, Given)}


def _is_column(model: type[models.Model], name: str) -> bool:
    try:
        return isinstance(model._meta.get_field(name), models.Field)
    except FieldDoesNotExist:
        return False


def _imports(path: str) -> bool:
    try:
        return callable(import_string(path))
    except ImportError:
        return False
