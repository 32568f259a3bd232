from pathlib import Path

import pytest

from opsconsole.settings import secret


def test_a_secret_file_wins_and_loses_its_newline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("from-file\n")
    monkeypatch.setenv("SOME_TOKEN", "from-environment")
    monkeypatch.setenv("SOME_TOKEN_FILE", str(tmp_path / "token"))
    assert secret("SOME_TOKEN") == "from-file"
