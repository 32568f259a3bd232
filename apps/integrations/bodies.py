"""Reading the JSON that others send us, strictly: what is taken in can be stored, shown and sent on as it came."""

import json
import math
from typing import Any

from django.utils.translation import gettext as _

from apps.integrations.masking import storable

DEEPEST = 50
LONGEST_NUMBER = 100


class Unreadable(Exception):
    """A body that is not JSON as we take it. The text says what is wrong with it."""


def read(body: bytes) -> Any:
    """Return the JSON value of a body; raise `Unreadable` where it is none, or none that PostgreSQL could keep."""
    try:
        value = _decode(body.decode())
    except UnicodeDecodeError as error:
        raise Unreadable(_("The body is not UTF-8 (byte %(at)s).") % {"at": error.start}) from error
    except RecursionError as error:
        raise Unreadable(_too_deep()) from error
    except json.JSONDecodeError as error:
        raise Unreadable(
            _("The body is not JSON: %(why)s at line %(line)s, column %(column)s.")
            % {"why": error.msg, "line": error.lineno, "column": error.colno}
        ) from error
    # In valid UTF-8, only an escape stands for what cannot be stored; and few brackets cannot nest deep.
    escapes = b"\\u" in body
    if escapes or body.count(b"[") + body.count(b"{") >= DEEPEST:
        _look_through(value, escapes)
    return value


def written(value: Any) -> bytes:
    """Return a value as a body of its own: one of many that came in one list."""
    return _write(value).encode()


_write = json.JSONEncoder(ensure_ascii=False).encode


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _value in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Unreadable(_("The key %(name)r stands twice in one object.") % {"name": twice[:80]})
    return found


def _no_constant(word: str) -> None:
    raise Unreadable(_("%(word)s is not JSON.") % {"word": word})


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Unreadable(_("A number is too large."))
    return number


def _bounded(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise Unreadable(_("A number has more than %(most)s digits.") % {"most": LONGEST_NUMBER})
    return int(text)


_decode = json.JSONDecoder(
    object_pairs_hook=_once_each, parse_constant=_no_constant, parse_float=_finite, parse_int=_bounded
).decode


def _look_through(value: Any, texts: bool) -> None:
    """Refuse what would fail later and elsewhere: nesting that recursion cannot follow, text that cannot be stored."""
    left = [(value, 1)]
    while left:
        item, depth = left.pop()
        if depth > DEEPEST:
            raise Unreadable(_too_deep())
        if texts and isinstance(item, str) and storable(item) != item:
            raise Unreadable(_("A text holds a NUL character or half of a surrogate pair, which cannot be stored."))
        if isinstance(item, dict):
            left.extend((part, depth + 1) for pair in item.items() for part in pair)
        elif isinstance(item, list):
            left.extend((part, depth + 1) for part in item)


def _too_deep() -> str:
    return _("The body is nested more than %(most)s levels deep.") % {"most": DEEPEST}
