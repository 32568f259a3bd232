"""Brings the database back to what `migrate` ships, after a test that commits. Django empties it with TRUNCATE and ships
again, which takes many times as long, and loses what a migration put in."""

from collections.abc import Iterator
from unittest import mock

import pytest
from django.db import connection, transaction
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

KEPT = "as_shipped"
"""The schema with a copy of each table that is not empty after `migrate`."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Make the database, keep a copy of what was shipped with it, and bring that back after each test that commits."""
    with django_db_blocker.unblock():
        sql = _bringing_back(_keep())

    def bring_back(_case: TransactionTestCase) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)

    with mock.patch.object(TransactionTestCase, "_fixture_teardown", bring_back):
        yield


def _keep() -> list[str]:
    """Copy the tables that have rows; return their names."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP SCHEMA IF EXISTS {KEPT} CASCADE; CREATE SCHEMA {KEPT}")
        cursor.execute("SELECT " + ", ".join(f"EXISTS (SELECT FROM {table})" for table in _tables()))  # noqa: S608 # ours
        shipped = [table for table, filled in zip(_tables(), cursor.fetchone(), strict=True) if filled]
        for table in shipped:
            cursor.execute(f"CREATE TABLE {KEPT}.{table} AS TABLE {table}")
    return shipped


def _tables() -> list[str]:
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return [connection.ops.quote_name(name) for name in sorted(names)]


def _bringing_back(shipped: list[str]) -> str:
    """Return what empties every table and fills in the copies, without a key checked or a trigger fired on the way."""
    emptied = [f"DELETE FROM {table}" for table in _tables()]  # noqa: S608 # names of ours
    filled = [f"INSERT INTO {table} TABLE {KEPT}.{table}" for table in shipped]
    return "; ".join(["SET LOCAL session_replication_role = replica", *emptied, *filled])
