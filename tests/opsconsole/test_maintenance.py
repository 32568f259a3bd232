"""The maintenance of runbook 4 as jobs: each leaves evidence, and one that was killed goes on where it stopped (S4-76 to S4-85, S1-96)."""

import hashlib
import io
import json
import os
import tarfile
import time
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client

from apps.jobs import scheduling
from apps.jobs.catalogue import JOBS
from apps.jobs.execution import run_here
from apps.jobs.models import Heartbeat, Job, JobRun, Report
from opsconsole import maintenance
from tests.cast import ROOT, Company

pytestmark = pytest.mark.django_db(transaction=True)
OURS = [kind for kind in JOBS if kind.handler.startswith("opsconsole.maintenance.")]


@pytest.fixture
def folder(settings: LazySettings, tmp_path: Path, db: None) -> Path:
    scheduling.make_missing()
    settings.DATA_DIR = tmp_path
    return tmp_path


def done(slug: str, **counts: int) -> JobRun:
    """Run a job in this process, as if it had counted so much before; return its run."""
    [run] = scheduling.run_now(slug, ROOT)
    JobRun.objects.filter(pk=run.pk).update(counts=counts)
    run_here(run)
    run.refresh_from_db()
    return run


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.slug)
def test_each_succeeds_and_says_what_it_did(folder: Path, company: Company, kind: object) -> None:
    run = done(kind.slug)  # type: ignore[attr-defined] # a JobKind
    assert (run.status, run.last_error) == ("succeeded", "")
    assert run.counts


def test_each_comes_round_when_runbook_4_says(folder: Path) -> None:
    found = dict(Job.objects.filter(slug__in=[kind.slug for kind in OURS]).values_list("slug", "cron"))
    weekly, monthly = ("export-configuration", "performance-report"), ("reindex", "analyze", "deep-clean")
    assert {found[slug] for slug in weekly} == {"0 6 * * MON"}
    assert all(found[slug].endswith("* * SUN#1") for slug in (*monthly, "review-thresholds"))


# The file of the configuration


def test_the_configuration_is_kept_with_its_checksum(folder: Path, company: Company) -> None:
    done("export-configuration")
    [archive] = folder.glob("exports/configuration-*.tar.gz")
    said, name = archive.with_name(f"{archive.name}.sha256").read_text().split()
    assert (said, name) == (hashlib.sha256(archive.read_bytes()).hexdigest(), archive.name)
    assert archive.stat().st_mode & 0o077 == 0
    with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as tar:
        held = {entry.name: json.load(tar.extractfile(entry) or io.BytesIO()) for entry in tar}
    assert held.keys() == {"endpoints.json", "mappings.json", "policies.json"}
    assert "piperun" in {row["fields"].get("slug") for row in held["policies.json"]}


def test_the_oldest_files_go(folder: Path, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "EXPORTS_KEPT", 2)
    (folder / "exports").mkdir()
    for day in ("20260101", "20260108", "20260115"):
        for end in ("", ".sha256"):
            (folder / f"exports/configuration-{day}.tar.gz{end}").touch()
    assert done("export-configuration").counts["removed"] == 4
    assert len(list(folder.glob("exports/*.tar.gz"))) == 2
    assert (folder / "exports/configuration-20260115.tar.gz").exists()


def test_a_folder_that_cannot_be_written_fails_the_run(folder: Path, company: Company) -> None:
    (folder / "exports").touch()
    run = done("export-configuration")
    assert (run.status, run.error_type) == ("failed", "FileExistsError")


# Reports


def test_the_week_is_kept_as_a_row_and_as_a_file(folder: Path, company: Company) -> None:
    run = done("performance-report")
    told = Report.objects.get(run=run).told
    assert told["services"] == [{"service": "piperun", "sent": 2, "failed": 3, "success_percent": 40.0}]
    assert told["delivered_in_seconds"]["operations"] == 2
    assert {row["queue"]: row["waiting"] for row in told["queues"]} == {"books": 1, "crm": 2}
    assert told["statements"]
    [file] = folder.glob("reports/performance-*.txt")
    assert "service piperun, sent 2, failed 3, success_percent 40.0" in file.read_text()


def test_the_next_report_says_what_grew(folder: Path, company: Company) -> None:
    with connection.cursor() as cursor:
        cursor.execute("VACUUM FULL operations_pendingoperation")  # no room of earlier rows is left to be used again
    done("performance-report")
    company.operations_of(500)
    done("performance-report")
    newest = Report.objects.order_by("-id").first()
    assert newest
    grown = {row["table"]: row["grown_bytes"] for row in newest.told["tables"]}
    assert grown["operations_pendingoperation"] > 0


def test_failures_are_counted_by_kind_beside_the_limits(folder: Path, company: Company) -> None:
    told = Report.objects.get(run=done("review-thresholds")).told
    assert {row["error_type"]: row["count"] for row in told["failures"]} == {"http_422": 4, "timeout": 1}
    assert {"limit": "PENDING_ALERT_THRESHOLD", "value": 50, "now": 3} in told["limits"]


# Indexes


def broken_index() -> None:
    """Leave an index behind as a rebuilding does that breaks off."""
    for name in ("one", "two"):
        Heartbeat.objects.create(name=name, interval_seconds=7)
    with connection.cursor() as cursor, pytest.raises(Exception, match="could not create unique index"):
        cursor.execute("CREATE UNIQUE INDEX CONCURRENTLY every_ccnew ON jobs_heartbeat (interval_seconds)")


@pytest.mark.parametrize("slug", ["reindex", "deep-clean"])
def test_what_broke_off_is_removed(folder: Path, slug: str) -> None:
    broken_index()
    assert maintenance._indexes(valid=False) == ["every_ccnew"]
    assert done(slug).counts["removed"] == 1
    assert maintenance._indexes(valid=False) == []


def test_every_index_is_built_anew(folder: Path) -> None:
    names = maintenance._indexes(valid=True)
    before = _files()
    run = done("reindex")
    assert (run.counts, run.expected) == ({"done": len(names), "rebuilt": len(names)}, len(names))
    assert not before & _files()
    assert maintenance._indexes(valid=True) == names


def test_one_that_was_killed_goes_on_where_it_stopped(folder: Path) -> None:
    names = maintenance._indexes(valid=True)
    run = done("reindex", done=len(names) - 2, rebuilt=len(names) - 2)
    assert run.counts["done"] == len(names)
    assert run.finished_at


def test_an_index_that_cannot_be_rebuilt_holds_up_no_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = maintenance._indexes(valid=True)

    def refuse(statement: str) -> None:
        if names[0] in statement:
            raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr(maintenance, "_outside", refuse)
    run = done("reindex")
    assert (run.status, run.counts["skipped"], run.counts["done"]) == ("succeeded", 1, len(names))


def test_the_limits_of_the_connection_are_as_before(folder: Path) -> None:
    done("reindex", done=10_000)
    maintenance._outside("ANALYZE jobs_heartbeat")
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone()[0] == "2s"


def _files() -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relfilenode FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'i' AND n.nspname = current_schema()"
        )
        return {number for (number,) in cursor.fetchall()}


def test_only_old_files_that_were_never_finished_are_removed(folder: Path) -> None:
    (folder / "exports").mkdir()
    names = ("old.part", "new.part", "old.tar.gz")
    for name in names:
        (folder / "exports" / name).touch()
    for name in ("old.part", "old.tar.gz"):
        os.utime(folder / "exports" / name, (time.time() - 2 * 86400,) * 2)
    assert done("deep-clean").counts["files"] == 1
    assert sorted(path.name for path in (folder / "exports").iterdir()) == ["new.part", "old.tar.gz"]


# The calendar


def test_the_calendar_shows_when_each_is_due_and_what_it_did(
    folder: Path, company: Company, admin_client: Client
) -> None:
    done("analyze")
    done("performance-report")
    scheduling.open_slots()
    text = admin_client.get("/admin/calendar/").content.decode()
    assert all(kind.slug in text for kind in OURS)
    assert "done " in text
    assert "Performance of the week" in text or "performance of the week" in text


def test_a_report_can_be_read(folder: Path, company: Company, admin_client: Client) -> None:
    done("performance-report")
    done("review-thresholds")
    for report in Report.objects.all():
        answer = admin_client.get(f"/admin/calendar/reports/{report.pk}/")
        assert answer.status_code == 200
        assert "<table" in answer.content.decode()


def test_reports_are_for_supervisors(folder: Path, company: Company, bia: User, client: Client) -> None:
    done("review-thresholds")
    client.force_login(bia)
    page = f"/admin/calendar/reports/{Report.objects.get().pk}/"
    assert (client.get(page).status_code, page in client.get("/admin/calendar/").content.decode()) == (403, False)


def test_a_report_that_is_not_there_is_404(admin_client: Client) -> None:
    assert admin_client.get("/admin/calendar/reports/0192f0c1-2b3c-7def-8a90-0123456789ab/").status_code == 404


def test_the_calendar_asks_few_things(
    folder: Path, admin_client: Client, django_assert_max_num_queries: object
) -> None:
    with django_assert_max_num_queries(9):  # type: ignore[operator] # pytest-django's
        admin_client.get("/admin/calendar/")
