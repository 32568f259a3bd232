"""`manage.py doctor`: what is wrong with an installation, and what to do; the exit code says how bad it is."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Group, User
from django.core import checks
from django.core.checks import Error
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from apps.integrations.models import Service
from apps.jobs.models import Heartbeat, Process
from opsconsole import doctor, vitals
from opsconsole.vitals import ERROR, OK, WARNING, Finding
from tests.cast import Company

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sound(company: Company, settings: LazySettings, tmp_path: Path) -> None:
    """An installation of which there is nothing to say."""
    Heartbeat.objects.create(name="tick", interval_seconds=5)
    Process.objects.create(name="here:1", kind="worker")
    User.objects.create_superuser("root")
    settings.API_KEY_PEPPER = "a pepper of its own, apart from the secret key of this test"
    tmp_path.chmod(0o700)
    settings.DATA_DIR = tmp_path
    settings.STATIC_ROOT = tmp_path
    (tmp_path / "console").mkdir()
    (tmp_path / "console/console.css").touch()
    Service.objects.update(credentials={})


def examined(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, Any]]]:
    """Let the doctor look; return the exit code and the findings by name."""
    code = 0
    try:
        call_command("doctor", "--json")
    except SystemExit as ended:
        code = int(str(ended.code))
    return code, {each["name"]: each for each in json.loads(capsys.readouterr().out)}


def test_a_sound_installation_ends_with_0(sound: None, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = examined(capsys)
    assert {name: each for name, each in found.items() if each["status"] != "ok"} == {}
    assert code == 0


def test_it_speaks_in_sentences(sound: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("doctor")
    assert "Everything is in order." in capsys.readouterr().out


def test_it_says_what_to_do_and_ends_with_2(company: Company, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("doctor")
    printed = capsys.readouterr().out
    assert ended.value.code == 2
    assert "ERROR    beat: It has never ticked: start beat" in printed


def test_warnings_alone_end_with_1(sound: None, capsys: pytest.CaptureFixture[str]) -> None:
    User.objects.update(is_superuser=False)
    code, found = examined(capsys)
    assert (code, "createsuperuser" in found["people"]["message"]) == (1, True)


def test_a_short_secret_is_an_error(sound: None, settings: LazySettings) -> None:
    settings.SECRET_KEY = "short"
    assert doctor.secrets().status == ERROR


def test_keys_that_die_with_the_secret_key_are_warned_of(sound: None, settings: LazySettings) -> None:
    settings.API_KEY_PEPPER = settings.SECRET_KEY
    assert doctor.secrets().status == WARNING


def test_a_credential_that_is_not_set_is_named(sound: None, company: Company) -> None:
    Service.objects.filter(pk=company.piperun.pk).update(credentials={"token": "NOWHERE_TO_BE_FOUND"})
    assert "NOWHERE_TO_BE_FOUND (piperun)" in doctor.credentials().message


def test_a_migration_that_waits_is_an_error(sound: None) -> None:
    recorder = MigrationRecorder(connection)
    newest = recorder.migration_qs.filter(app="jobs").latest("name")
    newest.delete()
    try:
        assert "manage.py migrate" in doctor.migrations().message
    finally:
        recorder.record_applied("jobs", newest.name)


def test_a_clock_that_is_off_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "database", lambda: Finding(OK, {"clock_ahead_seconds": -3600.0}))
    assert "3600.0 s apart" in doctor.clock().message


@pytest.mark.parametrize("zone", ["Nowhere/Land", "../etc/passwd"])
def test_a_zone_that_nobody_knows_is_an_error(settings: LazySettings, zone: str) -> None:
    settings.OPS_TIME_ZONE = zone
    assert doctor.zones().status == ERROR


def test_static_files_that_were_not_collected_are_warned_of(
    sound: None, settings: LazySettings, tmp_path: Path
) -> None:
    settings.STATIC_ROOT = tmp_path / "elsewhere"
    assert "collectstatic" in doctor.static_files().message


def test_a_data_folder_that_is_open_or_gone_is_warned_of(sound: None, settings: LazySettings, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert "chmod 700" in doctor.data_folder().message
    settings.DATA_DIR = tmp_path / "nowhere"
    assert "OPS_DATA_DIR" in doctor.data_folder().message


def test_missing_groups_are_an_error(sound: None) -> None:
    Group.objects.all().delete()
    assert doctor.people().status == ERROR


def test_a_failing_system_check_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Error("a name that nobody has", id="opsconsole.E999")]
    monkeypatch.setattr(checks, "run_checks", lambda **_how: found)
    assert doctor.configuration() == Finding(ERROR, message="opsconsole.E999: a name that nobody has")


def test_what_cannot_be_examined_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Finding:
        raise ZeroDivisionError

    monkeypatch.setitem(doctor.EXAMINATIONS, "people", broken)
    found = {each.name: each.found for each in doctor.examine()}
    assert (found["people"].status, "ZeroDivisionError" in found["people"].message) == (ERROR, True)
