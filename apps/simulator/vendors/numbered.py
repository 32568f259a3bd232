"""Records that are made up from their number when they are asked for, and that change: a hundred thousand cost nothing."""

from dataclasses import dataclass, field
from typing import NamedTuple

FIRST_CHANGE = 10_000_000
"""Changes are numbered from here on: above the number of any record."""


class Listed(NamedTuple):
    """A record's number, the number of its last change, and how often it was changed."""

    number: int
    revision: int
    version: int


@dataclass
class Numbered:
    """`base` records, numbered from one; what was changed, or came later, stands behind them in the order of its change."""

    base: int = 0
    changes: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By number: the revision, and how often it was changed."""
    serial: int = FIRST_CHANGE

    def touch(self, number: int) -> None:
        """Change a record, or let a new one come."""
        self.serial += 1
        self.changes[number] = (self.serial, self.changes.get(number, (0, 0))[1] + 1)

    def after(self, revision: int, count: int) -> list[Listed]:
        """The next records behind a revision, in its order."""
        found: list[Listed] = []
        number = revision + 1
        while number <= self.base and len(found) < count:
            if number not in self.changes:
                found.append(Listed(number, number, 0))
            number += 1
        changed = sorted((Listed(number, *how) for number, how in self.changes.items()), key=lambda one: one.revision)
        return (found + [one for one in changed if one.revision > revision])[:count]

    def get(self, number: int) -> Listed | None:
        """One record."""
        if number in self.changes:
            return Listed(number, *self.changes[number])
        return Listed(number, number, 0) if 0 < number <= self.base else None

    def kept(self) -> dict[str, object]:
        """As the store keeps it."""
        changes = [[number, *how] for number, how in self.changes.items()]
        return {"base": self.base, "serial": self.serial, "changes": changes}

    @classmethod
    def of(cls, kept: dict[str, object]) -> "Numbered":
        """As the store kept it."""
        rows: list[list[int]] = kept["changes"]  # type: ignore[assignment] # as `kept` wrote it
        base, serial = int(str(kept["base"])), int(str(kept["serial"]))
        return cls(base, {number: (revision, version) for number, revision, version in rows}, serial)
