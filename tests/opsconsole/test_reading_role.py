import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from opsconsole import reading
from opsconsole.reading import ROLE

PASSWORD = "a-long-password-for-readers"
FAILED = """
SELECT t.slug, r.status, j.slug, r.last_error, r.duration
FROM jobs_jobrun r JOIN jobs_job j ON j.id = r.job_id LEFT JOIN jobs_tenant t ON t.id = r.tenant_id
WHERE r.status = 'failed' ORDER BY r.started_at DESC LIMIT 50
"""
"""Runbook 3's question (S3-28 to S3-30), to our tables."""


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """A role is the whole server's, and all test processes share one: they take turns."""
    with Path(tempfile.gettempdir(), "opsconsole-tests-reader").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


@pytest.fixture
def reader(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    monkeypatch.setenv("DATABASE_READER_PASSWORD", PASSWORD)
    call_command("reading_role", verbosity=0)
    told = connection.settings_dict
    with psycopg.connect(
        host=told["HOST"], dbname=told["NAME"], user=ROLE, password=PASSWORD, autocommit=True
    ) as session:
        yield session
    with connection.cursor() as cursor:
        cursor.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


def test_the_reader_asks_what_runbook_3_asks(reader: psycopg.Connection) -> None:
    assert reader.execute(FAILED).fetchall() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE jobs_queue SET slug = 'x'",
        "DELETE FROM operations_pendingoperation",
        "SET default_transaction_read_only = off; DELETE FROM operations_pendingoperation",
        "CREATE TABLE mine (id int)",
        "TRUNCATE actions_actionitem",
    ],
)
def test_the_reader_changes_nothing(reader: psycopg.Connection, statement: str) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
        reader.execute(statement.encode())


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT session_key FROM django_session",
        "SELECT password FROM auth_user",
        "SELECT digest FROM integrations_apikey",
        "SELECT body FROM integrations_idempotencyrecord",
    ],
)
def test_the_reader_sees_nothing_to_sign_in_with(reader: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute(statement.encode())


def test_the_reader_knows_people_by_name(reader: psycopg.Connection) -> None:
    assert reader.execute("SELECT username, is_active FROM auth_user").fetchall() == []


def test_a_large_question_ends_by_itself(reader: psycopg.Connection) -> None:
    assert reader.execute("SHOW statement_timeout").fetchone() == ("30s",)


def test_a_new_table_is_readable_after_migrate(reader: psycopg.Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"REVOKE ALL ON jobs_jobrun FROM {ROLE}")  # as if it had just been made
    reading.grant_if_there()
    assert reader.execute("SELECT count(*) FROM jobs_jobrun").fetchone() == (0,)


def test_a_weak_password_is_refused(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_READER_PASSWORD", "adminsecretpass")
    with pytest.raises(CommandError, match="24 characters or more"):
        call_command("reading_role")
    assert not reading.reader_exists()


def test_every_withheld_column_is_one_that_there_is() -> None:
    for model, names in reading.WITHHELD.items():
        assert names <= {field.column for field in model._meta.local_concrete_fields}
