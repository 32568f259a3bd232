import io
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from apps.integrations.credentials import credential
from apps.integrations.models import Service

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path, settings: LazySettings) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path / "credentials"


@pytest.fixture
def piperun(db: None) -> Service:
    named = {"token": "PIPERUN_API_TOKEN"}
    return Service.objects.create(slug="piperun", name="Piperun", connector="piperun", credentials=named)


def set_credential(secret: str, monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO(secret))
    call_command("set_credential", "piperun", *words, stdout=out)
    return out.getvalue()


def test_a_secret_goes_to_a_file_of_its_owner_alone(
    piperun: Service, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = set_credential("s3cret\n", monkeypatch)
    path = folder / "PIPERUN_API_TOKEN"
    assert (path.read_text().strip(), path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (
        "s3cret",
        0o600,
        0o700,
    )
    assert "s3cret" not in said


def test_a_rotated_secret_is_used_without_a_restart(
    piperun: Service, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPERUN_API_TOKEN", "from the environment")
    set_credential("first", monkeypatch)
    assert credential("PIPERUN_API_TOKEN").value == "first"
    set_credential("second", monkeypatch)
    assert credential("PIPERUN_API_TOKEN").value == "second"


def test_a_secret_goes_to_the_file_that_the_environment_names(
    piperun: Service, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPERUN_API_TOKEN_FILE", str(tmp_path / "elsewhere"))
    set_credential("s3cret", monkeypatch)
    assert (tmp_path / "elsewhere").read_text().strip() == "s3cret"


def test_no_half_written_file_is_left(piperun: Service, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_credential("s3cret", monkeypatch)
    assert [path.name for path in folder.iterdir()] == ["PIPERUN_API_TOKEN"]


@pytest.mark.parametrize("secret", ["", " \n", "two\nlines", "nul\x00"])
def test_what_is_no_secret_is_refused(
    piperun: Service, folder: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    with pytest.raises(CommandError, match="no secret"):
        set_credential(secret, monkeypatch)


def test_an_unknown_credential_is_refused_with_the_known(
    piperun: Service, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CommandError, match=r"did you mean token\?"):
        set_credential("x", monkeypatch, "--name", "tokn")
