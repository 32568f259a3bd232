import logging
from collections.abc import Iterator

import pytest

from apps.jobs import execution, scheduling
from apps.jobs.keeping import Line
from apps.jobs.models import Job
from opsconsole.log_lines import KeptLines
from tests.cast import ROOT
from tests.jobs.lines import Taker


@pytest.fixture
def lines() -> Iterator[list[Line]]:
    taker = Taker()
    handler = KeptLines({"*": "INFO"}, taker)
    logging.getLogger().addHandler(handler)
    yield taker.taken
    logging.getLogger().removeHandler(handler)
    handler.close()


def test_every_line_of_a_run_carries_its_id(jobs: dict[str, Job], lines: list[Line]) -> None:
    [asked] = scheduling.run_now("quiet", ROOT)
    execution.run_here(asked)
    told = [line for line in lines if line.logger == "opsconsole.run"]
    assert {line.job_run for line in told} == {asked.pk}
    assert (told[0].text, told[-1].text) == ("quiet started", "quiet ended: succeeded")
