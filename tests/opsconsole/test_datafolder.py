import stat
from pathlib import Path

import pytest

from opsconsole.datafolder import DataFolderError, hold, made_once


def test_a_secret_is_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "admin-password"
    assert made_once(path) == made_once(path) == path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_folders_have_two_secrets(tmp_path: Path) -> None:
    assert made_once(tmp_path / "one") != made_once(tmp_path / "two")


def test_a_held_folder_is_refused_to_a_second_start(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(DataFolderError, match=r"already runs on .* Stop it first"), hold(tmp_path):
        pass


def test_the_folder_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    with hold(tmp_path / "data"):
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_is_refused_with_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderError, match="OPS_DATA_DIR"), hold(tmp_path / "file" / "data"):
        pass
