from pathlib import Path

import pytest

from opsconsole.settings import longest_statement_ms, secret, told_by_up, with_password


def test_a_secret_file_wins_and_loses_its_newline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("from-file\n")
    monkeypatch.setenv("SOME_TOKEN", "from-environment")
    monkeypatch.setenv("SOME_TOKEN_FILE", str(tmp_path / "token"))
    assert secret("SOME_TOKEN") == "from-file"


def test_a_password_of_its_own_goes_into_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PASSWORD", "p@ss/word")
    assert with_password("postgres://ops@db:5432/name", "SOME_PASSWORD") == "postgres://ops:p%40ss%2Fword@db:5432/name"
    assert with_password("redis://redis:6379/0", "SOME_PASSWORD") == "redis://:p%40ss%2Fword@redis:6379/0"


def test_an_address_without_a_password_of_its_own_stays_as_it_is() -> None:
    assert with_password("unix://:pw@/run/valkey.sock?db=0", "NO_PASSWORD") == "unix://:pw@/run/valkey.sock?db=0"


def test_commands_read_where_the_running_console_is(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("DATABASE_URL=postgres://u:p@/ops?host=%2Fsome%2Ffolder\nOPS_PORT=8001\n")
    assert told_by_up(tmp_path)["DATABASE_URL"] == "postgres://u:p@/ops?host=%2Fsome%2Ffolder"


def test_a_worker_may_take_longer_over_a_statement_than_a_page() -> None:
    assert longest_statement_ms("/opt/venv/bin/celery") == 60_000
    assert longest_statement_ms("/opt/venv/lib/python3.12/site-packages/celery/__main__.py") == 60_000
    assert longest_statement_ms("/opt/venv/bin/gunicorn") == 5_000
    assert longest_statement_ms("manage.py") == 5_000
