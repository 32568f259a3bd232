"""Puts true values back where a person left masked ones as they were (`masking.py` is the other way)."""

import json
import re
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any

from django.utils.translation import gettext as _

from apps.integrations.masking import HIDDEN, is_secret, masked

_MASK = re.compile(rf"{HIDDEN}|\w\*{{3}}@[\w-]|\*{{4}}[\s-]?\d{{4}}|\*{{3}}\.?\d{{3}}")
"""What masking leaves behind, in a text that nobody sends as it is."""

Path = tuple[str, ...]


class StillMasked(Exception):
    """Masked values stand where no true one can be put back. `errors` are sentences by field."""

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        super().__init__("; ".join(f"{field}: {' '.join(said)}" for field, said in errors.items()))
        self.errors = dict(errors)


def unmasked(typed: Any, true: Any) -> Any:
    """Return what a person made of `masked(true)`, with the true value wherever the masked one was left as it was.

    A masked value may also be moved to another name where it stands for one value alone; a secret may not. Raises
    `StillMasked` where a masked text was changed, or could stand for several values: it would be sent as it is.
    """
    merge = _Merge(true)
    found = merge.at(typed, masked(true), true, ())
    if merge.errors:
        raise StillMasked(merge.errors)
    return found


def holds_a_mask(value: Any) -> bool:
    """Say whether a masked text stands anywhere in JSON data."""
    return any(isinstance(leaf, str) and _MASK.search(leaf) for _path, leaf in _leaves(value, ()))


class _Merge:
    """One putting back: what each masked text stands for, and the fields where it cannot be told."""

    def __init__(self, true: Any) -> None:
        self.errors: dict[str, list[str]] = {}
        self.stands_for: dict[str, dict[str, Any]] = {}
        for path, leaf in _leaves(true, ()):
            shown = masked(leaf)
            if isinstance(shown, str) and shown != leaf and not any(is_secret(part) for part in path):
                self.stands_for.setdefault(shown, {})[_as_json(leaf)] = leaf

    def at(self, typed: Any, shown: Any, true: Any, path: Path) -> Any:
        """Return the value at a path, looked at beside what was shown there."""
        if _as_json(typed) == _as_json(shown):
            return true
        if isinstance(typed, dict) and isinstance(shown, dict):
            return {
                key: self.at(item, shown[key], true[key], (*path, key))
                if key in shown
                else self.new(item, (*path, key))
                for key, item in typed.items()
            }
        if isinstance(typed, list) and isinstance(shown, list):
            return self._list(typed, shown, true, path)
        return self.new(typed, path)

    def new(self, typed: Any, path: Path) -> Any:
        """Return a value that was not there before; a masked text in it may have come from elsewhere."""
        if isinstance(typed, dict):
            return {key: self.new(item, (*path, key)) for key, item in typed.items()}
        if isinstance(typed, list):
            return [self.new(item, (*path, str(index))) for index, item in enumerate(typed)]
        if not isinstance(typed, str) or not _MASK.search(typed):
            return typed
        meant = list(self.stands_for.get(typed, {}).values())
        if len(meant) == 1:
            return meant[0]
        return self._wrong(path, _("holds a masked value. Type it whole, or leave it where and as it was."), typed)

    def _list(self, typed: list[Any], shown: list[Any], true: list[Any], path: Path) -> list[Any]:
        """Pair the items of two lists: by place where none came or went, else by what they look like."""
        if len(typed) == len(shown):
            pairs: list[int | None] = list(range(len(typed)))
        else:
            pairs = _paired([_as_json(item) for item in shown], [_as_json(item) for item in typed])
            self._look_alike(shown, true, path)
        return [
            self.new(item, (*path, str(index)))
            if pair is None
            else self.at(item, shown[pair], true[pair], (*path, str(index)))
            for index, (item, pair) in enumerate(zip(typed, pairs, strict=True))
        ]

    def _look_alike(self, shown: list[Any], true: list[Any], path: Path) -> None:
        """Of two items that look alike masked, nobody can say which one was taken out."""
        meant: dict[str, set[str]] = {}
        for item, value in zip(shown, true, strict=True):
            meant.setdefault(_as_json(item), set()).add(_as_json(value))
        if any(len(values) > 1 for values in meant.values()):
            self._wrong(path, _("has items that look alike masked: type those that stay whole."), None)

    def _wrong(self, path: Path, words: str, typed: Any) -> Any:
        self.errors.setdefault(".".join(path), []).append(words)
        return typed


def _paired(shown: list[str], typed: list[str]) -> list[int | None]:
    """Return for each typed item the one it was shown as, if any."""
    pairs: list[int | None] = [None] * len(typed)
    for tag, start, end, at, until in SequenceMatcher(None, shown, typed, autojunk=False).get_opcodes():
        if tag in ("equal", "replace"):
            for index in range(min(end - start, until - at)):
                pairs[at + index] = start + index
    return pairs


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, str(index)))
    else:
        yield path, value


def in_a_secret(path: str) -> bool:
    """Say whether a JSON pointer leads to a secret, or into one."""
    return any(is_secret(part.replace("~1", "/").replace("~0", "~")) for part in path.split("/"))


def _as_json(value: Any) -> str:
    """Return a value as text: 1 and true, 1 and 1.0 are not the same to a far end."""
    return json.dumps(value, sort_keys=True)
