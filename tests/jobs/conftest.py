from collections.abc import Iterator

import pytest

from apps.jobs.models import Job
from tests.jobs.handlers import catalogued


@pytest.fixture
def jobs(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Job]]:
    yield from catalogued(monkeypatch)
