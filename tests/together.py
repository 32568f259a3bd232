"""Which tests one worker runs one after the other, because what they look at is dear to start: told by their files.

xdist has a mark for it, `xdist_group`. Under pytest 9.2 it does nothing (pytest-xdist, issue 1386): it writes into a
test's id, which pytest no longer reads there.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

MACHINES = {
    "tests/browser/test_story.py": "demo",
    "tests/browser/test_tour.py": "demo",
    "tests/opsconsole/test_up.py": "up",
}
"""Tests that look at what `make run` starts."""
SEEDED = "tests/opsconsole/demo/"
"""Each file there makes the demo company once."""


class Together(LoadScopeScheduling):  # type: ignore[misc] # it has no types
    """Hands every test out by itself, and those that belong together to one worker."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return MACHINES.get(file, file if file.startswith(SEEDED) else nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    return Together(config, log)
