"""Rows as instances, made without the model's constructor: it reads each field anew, which takes up to ten times as long."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from django.db import connection, models
from django.db.models.base import ModelState

Column = models.Field[Any, Any]
Row = TypeVar("Row", bound=models.Model)


def new(model: type[Row]) -> Row:
    """Return a new row with its defaults, as the constructor does."""
    values, made = _defaults(model)
    row = _made(model, values)
    for field in made:
        setattr(row, field.attname, field.get_default())
    return row


def read(model: type[Row], columns: Sequence[Column], rows: Iterable[tuple[Any, ...]]) -> list[Row]:
    """Return rows that were read, as `from_db` does; their other fields are deferred."""
    names = [field.attname for field in columns]
    readers = [(field.attname, field.from_db_value) for field in columns if hasattr(field, "from_db_value")]
    found = [_made(model, _converted(dict(zip(names, row, strict=True)), readers)) for row in rows]
    stored(found)
    return found


def stored(rows: Iterable[models.Model]) -> None:
    """Note of rows that the database has them."""
    alias = connection.alias
    for row in rows:
        row._state.adding, row._state.db = False, alias


def _made(model: type[Row], values: Mapping[str, Any]) -> Row:
    row = model.__new__(model)
    vars(row).update(values, _state=ModelState())
    return row


@cache
def _defaults(model: type[models.Model]) -> tuple[dict[str, Any], list[Column]]:
    """Return the values of a new row, and the fields that make a value for each row."""
    values = {name: value for name, value in vars(model()).items() if name != "_state"}
    return values, [field for field in model._meta.concrete_fields if callable(field.default)]


def _converted(values: dict[str, Any], readers: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    for name, from_db_value in readers:
        values[name] = from_db_value(values[name], None, connection)
    return values
