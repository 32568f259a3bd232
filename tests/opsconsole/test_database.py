"""A kept connection is known for dead without a round trip."""

from collections.abc import Iterator

import pytest
from django.db import ProgrammingError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.actions.preparing import prepared_cursor


@pytest.fixture
def kept(db: None) -> BaseDatabaseWrapper:
    other = connection.copy()
    other.ensure_connection()
    return other


def test_one_that_stands_is_usable(kept: BaseDatabaseWrapper) -> None:
    assert kept.is_usable()
    kept.close()


def test_one_whose_transaction_failed_is_not(kept: BaseDatabaseWrapper) -> None:
    kept.set_autocommit(False)
    with pytest.raises(ProgrammingError), kept.cursor() as cursor:
        cursor.execute("SELECT nothing")
    assert not kept.is_usable()
    kept.close()


def test_one_that_the_server_ended_is_not(kept: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [kept.connection.info.backend_pid])
    assert not kept.is_usable()
    kept.close()


@pytest.fixture
def fresh(transactional_db: None) -> Iterator[None]:
    connection.close()
    connection.ensure_connection()
    yield
    connection.close()


@pytest.mark.usefixtures("fresh")
def test_what_every_request_asks_is_prepared_where_connections_are_kept() -> None:
    for number in range(7):
        _ask_prepared(number)

    assert _prepared() == 1


@pytest.mark.usefixtures("fresh")
def test_behind_a_pooler_nothing_is_prepared() -> None:
    connection.connection.prepare_threshold = None  # as settings have it without CONN_MAX_AGE

    for number in range(7):
        _ask_prepared(number)

    assert _prepared() == 0


def _ask_prepared(number: int) -> None:
    with prepared_cursor() as cursor:
        cursor.execute("SELECT %s::int", [number])
        assert cursor.fetchone() == (number,)


def _prepared() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT $1::int%%'", [])
        return int(cursor.fetchone()[0])
