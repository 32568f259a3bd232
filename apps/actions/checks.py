"""Is each declaration sound? Run by `manage.py check` and at every start."""

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.utils.module_loading import import_string

from apps.actions.verbs import Acted, Move, Verb, moves_of, nouns, states_of

ASKS = ("note", "reason", "until", "owner")


def check_moves(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with the verbs and steps of every noun."""
    return [error for model in nouns() for move in moves_of(model).values() for error in _errors(model, move)]


def _errors(model: type[Acted], move: Move) -> Iterator[CheckMessage]:
    known = states_of(model)
    for state in {*move.sources, *([move.target] if move.target else [])} - set(known):
        yield Error(f"{move!r} names the state {state!r}, which {model.__name__} does not have.", id="actions.E001")
    for column in move.sets:
        if not _is_column(model, column) or column == "status":
            yield Error(f"{move!r} sets {column!r}, which is no column that a move may set.", id="actions.E002")
    if move.then and not _imports(move.then):
        yield Error(f"{move!r} names then={move.then!r}, which cannot be imported.", id="actions.E003")
    if isinstance(move, Verb):
        for word in set(move.asks) - set(ASKS):
            yield Error(f"{move!r} asks for {word!r}.", hint=f"A verb asks for {', '.join(ASKS)}.", id="actions.E004")
        if not move.help:
            yield Error(f"{move!r} has no help.", hint="Say in one sentence what it does.", id="actions.E005")
        if move.paced and not model.settles:
            yield Error(f"{move!r} is paced, but {model.__name__} does not say what settles.", id="actions.E006")


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
