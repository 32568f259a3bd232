"""The map of requirements points at things that are there."""

import re

from apps.operations.models import PendingOperation
from tests.messages import ROOT

MAP = (ROOT / "docs/requirements.md").read_text()


def test_every_line_of_runbook_0_is_mapped() -> None:
    assert re.findall(r"^\| (S0-\d+) \|", MAP, re.M) == [f"S0-{number}" for number in range(1, 38)]


def test_every_file_that_the_map_names_is_there() -> None:
    named = set(re.findall(r"`((?:tests|docs)/[\w/.]+\.\w+)`", MAP))
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_every_test_that_the_map_names_is_there() -> None:
    written = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"\b(test_\w+[a-z0-9])(?!\.py|\w)", MAP))
    assert {name for name in named if f"def {name}" not in written} == set()


def test_retry_says_that_nothing_needs_rolling_back() -> None:  # S0-35
    assert "Nothing needs rolling back" in str(PendingOperation.retry.help)
