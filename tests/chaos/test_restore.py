"""R26: an old backup comes back. Nothing that was sent since goes out again unseen."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command

from apps.actions.running import run
from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.delivery import drain
from apps.operations.models import PendingOperation
from opsconsole import backups, restored
from tests.cast import ROOT, matching
from tests.chaos.conftest import deals
from tests.chaos.fleet import Fleet, wait_until
from tests.chaos.score import FULL, Score, scored
from tests.contracts.world import one
from tests.simulator_process import Simulator

WAITING, SENT = (700, 500) if FULL else (120, 80)
TICKS = 12.0
"""So many seconds are several ticks: whatever went out by itself would be out."""


@pytest.fixture
def backup(tmp_path: Path, piperun: Service, queue: Queue) -> Path:
    """Made while operations wait, of which some are delivered afterwards."""
    deals(piperun, queue, WAITING)
    call_command("backup", str(tmp_path / "console.dump"), verbosity=0)
    while (left := SENT - PendingOperation.objects.filter(status="completed").count()) > 0:
        drain(queue, limit=left)
    return tmp_path / "console.dump"


def effects(simulator: Simulator) -> int:
    return sum(entry["effects"] for entry in simulator.ledger(service="piperun", by="n")["entries"])


def test_a_restored_console_sends_nothing_by_itself_and_finds_what_was_sent(
    simulator: Simulator,
    backup: Path,
    fleet_of: Callable[..., Fleet],
    report: Callable[[Score], Score],
) -> None:
    backups.restore(backup)
    ContentType.objects.clear_cache()
    fleet_of()
    wait_until(lambda: not Queue.objects.filter(status="active").exists(), 60)
    time.sleep(TICKS)
    by_itself = effects(simulator) - SENT
    assert (by_itself, restored.to_look_at()) == (0, WAITING)

    run(PendingOperation.confirm, matching(restored="yes", status="pending"), ROOT)
    wait_until(lambda: not PendingOperation.objects.filter(confirmed_at=None).exists())
    found = run(PendingOperation.resolve, matching(restored="yes", found="yes"), ROOT)
    assert found.moved == SENT
    run(Queue.resume, one(Queue, Queue.objects.get()), ROOT)
    wait_until(lambda: not PendingOperation.objects.exclude(status="completed").exists())
    score = report(scored("a backup restored", WAITING, simulator, ["piperun"]))
    score.notes = [f"{by_itself} sent by themselves, {found.moved} found at the far end"]
    assert (score.completed, score.second_effects, effects(simulator)) == (WAITING, 0, WAITING)


def test_whoever_resumes_without_looking_doubles_nothing(
    simulator: Simulator, backup: Path, fleet_of: Callable[..., Fleet]
) -> None:
    call_command("restore", str(backup), yes=True, verbosity=0)
    ContentType.objects.clear_cache()
    run(Queue.resume, one(Queue, Queue.objects.get()), ROOT)
    fleet_of()
    wait_until(lambda: not PendingOperation.objects.exclude(status="completed").exists())
    assert effects(simulator) == WAITING


def test_a_backup_that_was_cut_short_is_refused(backup: Path) -> None:
    backup.write_bytes(backup.read_bytes()[:-100])
    with pytest.raises(CommandError, match=r"changed or cut short. Nothing was changed"):
        call_command("restore", str(backup), yes=True)
    assert PendingOperation.objects.filter(status="completed").count() == SENT


def test_a_backup_of_a_newer_console_is_refused(backup: Path) -> None:
    manifest = backups.beside(backup)
    manifest.write_text(manifest.read_text().replace("operations.0001_initial", "operations.9999_later"))
    with pytest.raises(CommandError, match=r"newer than this one: it has operations.9999_later"):
        call_command("restore", str(backup), yes=True)


def test_nothing_is_restored_under_a_worker(backup: Path, fleet_of: Callable[..., Fleet]) -> None:
    fleet_of(nodes=1)
    wait_until(lambda: backups.sessions() > 0)
    with pytest.raises(CommandError, match="Stop web, workers and beat first"):
        call_command("restore", str(backup), yes=True)


def test_a_backup_never_takes_the_place_of_another(backup: Path) -> None:
    with pytest.raises(CommandError, match="is there already"):
        call_command("backup", str(backup))


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"cannot be read: No such file"):
        call_command("restore", str(tmp_path / "nothing.dump"), yes=True)
