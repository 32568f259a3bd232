import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django import Settings

from apps.actions.running import run
from apps.actions.selections import Selection
from apps.jobs.models import ArchiveFile, RetentionPolicy
from apps.operations.models import PayloadVersion, PendingOperation
from tests.cast import ROOT
from tests.jobs.aged import event, operation, policy, purge, there

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path / "archive"


def hold(slug: str = "completed-operations") -> None:
    run(RetentionPolicy.hold, Selection.ticked(RetentionPolicy, [policy(slug).pk]), ROOT, given={"reason": "restoring"})


def file_of(folder: Path) -> Path:
    (found,) = folder.glob("*/*.jsonl.gz")
    return found


def manifest(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(path.with_name(path.name.replace(".jsonl.gz", ".manifest.json")).read_text())
    return told


def columns(*keys: Any) -> list[Any]:
    return list(PendingOperation.objects.filter(pk__in=keys).order_by("pk").values())


def test_what_goes_is_in_a_file_first(folder: Path) -> None:
    old = operation(400)
    PayloadVersion.objects.create(operation=old, number=1, payload={"title": "Ten chairs"})
    record = purge("completed-operations")
    lines = [json.loads(line) for line in gzip.decompress(file_of(folder).read_bytes()).splitlines()]
    assert [(line["table"], line["row"]["payload"]) for line in lines] == [
        ("operations_pendingoperation", {"title": "Ten chairs"}),
        ("operations_payloadversion", {"title": "Ten chairs"}),
    ]
    assert record.counts == {"completed-operations": 1, "completed-operations archived": 2}


def test_the_manifest_says_what_it_is(folder: Path) -> None:
    first, last = operation(401), operation(400)
    purge("completed-operations")
    told = manifest(file_of(folder))
    assert (told["policy"], told["rows"]) == ("completed-operations", 2)
    assert told["tables"]["operations_pendingoperation"]["migration"].startswith("operations.0")
    assert told["tables"]["operations_pendingoperation"]["columns"]["payload"] == "jsonb"
    assert [(part["first"], part["last"]) for part in told["members"]] == [(str(first.pk), str(last.pk))]


def test_nobody_else_may_read_the_files(folder: Path) -> None:
    operation(400)
    purge("completed-operations")
    path = file_of(folder)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_nothing_is_written_where_the_policy_does_not_ask_for_it(folder: Path) -> None:
    event(400)
    purge("processed-events")
    assert not folder.exists()


def test_nothing_goes_where_the_file_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = operation(400)
    monkeypatch.setattr(os, "fsync", _full)
    record = purge("completed-operations")
    assert (record.status, there(old)) == ("failed", True)
    assert "No space left on device" in policy("completed-operations").last_error


def test_what_stands_behind_the_last_commit_is_cut_off(folder: Path) -> None:
    operation(400)
    purge("completed-operations")
    path, kept = file_of(folder), ArchiveFile.objects.get()
    with path.open("ab") as file:
        file.write(b"half a batch")
    purge("completed-operations")
    kept.refresh_from_db()
    assert (path.stat().st_size, kept.closed) == (kept.bytes, True)


def test_a_file_is_restored_as_it_was(folder: Path) -> None:
    old = operation(400, last_error="ação — “x”", result={"id": 4711, "share": 0.1})
    version = PayloadVersion.objects.create(operation=old, number=1, payload={"n": None})
    before = columns(old.pk)
    purge("completed-operations")
    hold()
    call_command("archive_restore", str(file_of(folder)))
    assert (columns(old.pk), there(version)) == (before, True)


def test_bytes_come_back_as_they_were(folder: Path) -> None:
    RetentionPolicy.objects.filter(slug="processed-events").update(archives=True)
    old = event(400, body=b"\x00\xff{}")
    purge("processed-events")
    hold("processed-events")
    call_command("archive_restore", str(file_of(folder)))
    old.refresh_from_db()
    assert bytes(old.body) == b"\x00\xff{}"


def test_a_dry_run_restores_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = operation(400)
    purge("completed-operations")
    call_command("archive_restore", str(file_of(folder)), "--dry-run")
    assert "operations_pendingoperation: 1 rows would be restored." in capsys.readouterr().out
    assert not there(old)


def test_rows_that_are_there_already_are_refused_and_none_is_written(folder: Path) -> None:
    first, second = operation(401), operation(400)
    purge("completed-operations")
    hold()
    call_command("archive_restore", str(file_of(folder)))
    PendingOperation.objects.filter(pk=first.pk).delete()
    with pytest.raises(CommandError, match=f"1 rows of operations_pendingoperation are there already \\({second.pk}"):
        call_command("archive_restore", str(file_of(folder)))
    assert not there(first)


def test_a_restore_wants_its_policy_held(folder: Path) -> None:
    operation(400)
    purge("completed-operations")
    with pytest.raises(CommandError, match="Hold the policy completed-operations first"):
        call_command("archive_restore", str(file_of(folder)))


def test_a_damaged_file_is_refused(folder: Path) -> None:
    old = operation(400)
    purge("completed-operations")
    hold()
    path = file_of(folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CommandError, match="is damaged"):
        call_command("archive_restore", str(path))
    assert not there(old)


@pytest.mark.parametrize("name", ["nothing.jsonl.gz", "other.txt"])
def test_what_is_no_archive_is_refused(folder: Path, name: str) -> None:
    folder.mkdir()
    (folder / name).write_text("x")
    with pytest.raises(CommandError, match="is no archive"):
        call_command("archive_restore", str(folder / name))


def test_a_file_of_other_columns_is_refused(folder: Path) -> None:
    operation(400)
    purge("completed-operations")
    path = file_of(folder)
    told = manifest(path)
    told["tables"]["operations_pendingoperation"]["columns"]["colour"] = "text"
    path.with_name(path.name.replace(".jsonl.gz", ".manifest.json")).write_text(json.dumps(told))
    with pytest.raises(CommandError, match="does not fit today's operations_pendingoperation: colour"):
        call_command("archive_restore", str(path), "--dry-run")


def _full(_descriptor: int) -> None:
    raise OSError(28, os.strerror(28))
