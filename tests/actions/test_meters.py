"""What processes count: added up over all of them, dead ones too, and never in the way of what is counted."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from apps.actions import meters

COUNTING = """
import os, signal, sys
from apps.actions.meters import FOLDER, Count, Spans, counted
for _time in range(3):
    Count("tries_total", "Tries.", "of").add(sys.argv[1])
Spans("spans_seconds", "Spans.", "of").took(0.3, sys.argv[1])
if sys.argv[2] == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
print(sorted((sample.name, sample.labels.get("of"), sample.value) for metric in counted() for sample in metric.samples
    if sample.name in ("tries_total", "spans_seconds_count", "spans_seconds_sum")))
print(len(list(FOLDER.glob("*.db"))), len(list(FOLDER.glob("*.lock"))))
"""


def process(folder: Path, *words: str, code: str = COUNTING) -> list[str]:
    """Run a process that counts; return the lines it printed."""
    env = {"OPS_DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "opsconsole.settings", "SECRET_KEY": "x"}
    done = subprocess.run(  # noqa: S603 # ourselves
        [sys.executable, "-c", code, *words],
        env=env,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


def test_what_killed_processes_counted_is_kept_and_their_files_are_not(tmp_path: Path) -> None:
    for _death in range(3):
        assert process(tmp_path, "crm", "dies") == []
    told, left = process(tmp_path, "crm", "lives")
    assert (
        told == "[('spans_seconds_count', 'crm', 4.0), ('spans_seconds_sum', 'crm', 1.2), ('tries_total', 'crm', 12.0)]"
    )
    assert left == "4 1"


def test_what_a_dead_process_left_broken_is_left_out(tmp_path: Path) -> None:
    process(tmp_path, "crm", "dies")
    for left in (tmp_path / "metrics").glob("counter_*.db"):
        left.write_bytes(b"\x90\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00")
    told, _left = process(tmp_path, "erp", "lives")
    assert "('tries_total', 'erp', 3.0)" in told


def test_a_process_that_counts_nothing_leaves_nothing(tmp_path: Path) -> None:
    process(tmp_path, code="from apps.actions.meters import Count; Count('x_total', 'X.', 'of')")
    assert list(tmp_path.iterdir()) == []


def test_counting_where_it_cannot_be_kept_breaks_nothing(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text("a file where a folder should be")
    code = "from apps.actions.meters import Count; Count('x_total', 'X.', 'of').add('crm'); print('goes on')"
    assert process(tmp_path, code=code) == ["goes on"]


def test_a_disk_without_room_costs_numbers_alone(tmp_path: Path) -> None:
    code = """
import resource
from apps.actions.meters import FOLDER, Count
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
tries = Count("tries_total", "Tries.", "of")
for _time in range(3):
    tries.add("crm")
print(sorted(path.name for path in FOLDER.iterdir()))
"""
    assert process(tmp_path, code=code) == ["['whole']"]


def test_a_forked_child_counts_apart(tmp_path: Path) -> None:
    code = """
import os
from apps.actions.meters import Count, counted
tries = Count("tries_total", "Tries.", "of")
tries.add("crm")
child = os.fork()
if not child:
    tries.add("crm")
    os._exit(0)
os.waitpid(child, 0)
tries.add("crm")
print([sample.value for metric in counted() for sample in metric.samples if sample.name == "tries_total"])
"""
    assert process(tmp_path, code=code) == ["[3.0]"]


@pytest.mark.parametrize("labels", [(), ("a", "b")])
def test_wrong_labels_break_nothing(labels: Any) -> None:
    meters.Count("wrongly_labelled_total", "Wrongly labelled.", "of").add(*labels)
