"""What a case came to: counted in our rows and in the far end's ledger, and shown at the end of the session."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from _pytest.terminal import TerminalReporter

from apps.actions.models import ActionItem
from apps.deadletters.models import DeadLetter
from apps.operations.models import PendingOperation
from tests.simulator_process import Simulator

FULL = os.environ.get("CHAOS") == "full"
PROPERTY = "score"
"""Under this name a test's report carries its lines, from whichever process it ran in."""


@dataclass
class Score:
    """One line. Lost: neither completed nor visibly given up. Second effects and keys: as the far end saw them."""

    case: str
    operations: int
    kills: int = 0
    completed: int = 0
    dead_letters: int = 0
    ambiguous: int = 0
    lost: int = 0
    called_twice: int = 0
    second_effects: int = 0
    second_keys: int = 0
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self.counts.items())
        return f"{self.case}: {counts}{''.join(f'; {note}' for note in self.notes)}"

    @property
    def counts(self) -> dict[str, int]:
        return {name: value for name, value in vars(self).items() if isinstance(value, int)}


def scored(
    case: str, operations: int, simulator: Simulator, services: Sequence[str] = ("erp",), kills: int = 0
) -> Score:
    """Count; `by` the payload's `n`, which is told once per operation, a second key for it would show."""
    rows = PendingOperation.objects.all()
    entries = [entry for service in services for entry in simulator.ledger(service=service, by="n")["entries"]]
    completed, failed = rows.filter(status="completed").count(), rows.filter(status="failed").count()
    return Score(
        case=case,
        operations=operations,
        completed=completed,
        dead_letters=DeadLetter.objects.count(),
        ambiguous=rows.filter(failure_class="ambiguous", status="failed").count(),
        lost=operations - completed - failed,
        called_twice=sum(entry["calls"] > 1 for entry in entries),
        second_effects=sum(max(entry["effects"] - 1, 0) for entry in entries),
        second_keys=sum(max(entry["keys"] - 1, 0) for entry in entries),
        kills=kills,
    )


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    told = [
        value for report in reports if getattr(report, "when", "") == "teardown" for value in report.user_properties
    ]
    scores = [Score(**columns) for name, columns in told if name == PROPERTY]
    for score in scores:
        terminalreporter.write_line(str(score))
    if FULL:
        terminalreporter.write_line(table(scores))


def table(scores: list[Score]) -> str:
    """The lines as docs/measured.md has them."""
    names = list(scores[0].counts) if scores else []
    head = ["case", *(name.replace("_", " ") for name in names)]
    rows = [[score.case, *map(str, score.counts.values())] for score in scores]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def moved_by_people(rows: list[Any]) -> Counter[int]:
    """Count the rows by how often a person moved them."""
    items = ActionItem.objects.filter(object_id__in=[row.pk for row in rows], run__isnull=False)
    return Counter(Counter(items.values_list("object_id", flat=True)).values())
