"""A kept connection is known for dead without a round trip."""

import pytest
from django.db import ProgrammingError, connection
from django.db.backends.base.base import BaseDatabaseWrapper


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
