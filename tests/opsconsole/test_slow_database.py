"""A slow database: what runs, what was slowest, and the indexes of a table (S1-81 to S1-87, S4-69)."""

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from opsconsole import slow_database
from opsconsole.slow_database import how_to_count, indexes_of, running_statements, slowest_statements, without_values
from tests.cast import Company

pytestmark = pytest.mark.django_db
PAGES = ["/admin/database/", "/admin/database/slowest/", "/admin/database/indexes/"]


@pytest.fixture
def supervisor(ana: User) -> Client:
    client = Client()
    client.force_login(ana)
    return client


def another() -> psycopg.Connection[tuple[object, ...]]:
    """Connect as another process would."""
    told = connection.get_connection_params()
    return psycopg.connect(**{name: told[name] for name in ("dbname", "user", "password", "host") if name in told})


@pytest.mark.parametrize("path", PAGES)
def test_supervisors_see_it_and_nobody_else(supervisor: Client, bia: User, client: Client, path: str) -> None:
    assert supervisor.get(path).status_code == 200
    client.force_login(bia)
    assert client.get(path).status_code == 403


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_few_things(supervisor: Client, path: str, django_assert_max_num_queries: object) -> None:
    with django_assert_max_num_queries(8):  # type: ignore[operator] # pytest-django's
        supervisor.get(path)


def test_an_open_transaction_is_shown_with_its_age(db: None) -> None:
    with another() as other:
        other.execute("SELECT 'the phone of Ana'")
        [row] = [row for row in running_statements() if row["pid"] == other.info.backend_pid]
    assert (row["state"], row["query"]) == ("idle in transaction", "SELECT '…'")
    assert row["transaction_seconds"] >= 0


def test_who_waits_for_whom_is_shown(supervisor: Client) -> None:
    with another() as other:
        other.execute("BEGIN")
        text = supervisor.get("/admin/database/").content.decode()
        assert f">{other.info.backend_pid}<" in text


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT  *\n FROM a WHERE b = 'Ana''s'", "SELECT * FROM a WHERE b = '…'"),
        ("INSERT INTO a VALUES ('x', 'cut off by the serv", "INSERT INTO a VALUES ('…', '…'"),
        ("SELECT $$secret$$, $tag$it's$tag$ FROM b", "SELECT '…', '…' FROM b"),
        ("SELECT a FROM b WHERE phone = 5531988887777", "SELECT a FROM b WHERE phone = "),
    ],
)
def test_a_statement_is_shown_without_its_values(statement: str, shown: str) -> None:
    assert without_values(statement).startswith(shown)
    assert not {"Ana", "secret", "cut off", "88887777"} & set(without_values(statement).split())


def test_the_slowest_statements_are_shown(supervisor: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.05), 'a-mark-of-this-test'")
    assert how_to_count() == ""
    rows = slowest_statements("mean")
    assert "pg_sleep" in " ".join(row["query"] for row in rows)
    assert [row["mean_seconds"] for row in rows] == sorted((row["mean_seconds"] for row in rows), reverse=True)
    assert "a-mark-of-this-test" not in supervisor.get(PAGES[1]).content.decode()


def test_where_statements_are_not_counted_it_says_what_to_do(supervisor: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP EXTENSION pg_stat_statements")
    answer = supervisor.get(PAGES[1])
    assert (answer.status_code, "CREATE EXTENSION pg_stat_statements" in answer.content.decode()) == (200, True)


@pytest.mark.parametrize(
    "path", ["/admin/database/slowest/?order=nonsense", "/admin/database/indexes/?table=pg_authid"]
)
def test_a_word_that_is_not_known_is_404(supervisor: Client, path: str) -> None:
    assert supervisor.get(path).status_code == 404


def test_the_runbooks_name_of_a_table_leads_to_ours(supervisor: Client) -> None:  # S1-86
    text = supervisor.get("/admin/database/indexes/?table=integration_events").content.decode()
    assert "Indexes of integrations_integrationevent" in text
    assert "USING btree (received_at, source_id, event_type, status)" in text


def test_an_index_is_shown_with_size_and_use(company: Company) -> None:
    found = {row["name"]: row for row in indexes_of("operations_pendingoperation")}
    key = found["operations_pendingoperation_pkey"]
    assert (key["is_unique"], key["is_valid"], key["bytes"] > 0) == (True, True, True)


def test_every_table_of_the_runbooks_is_there() -> None:
    names = {row["name"] for row in slow_database.tables()}
    assert {model._meta.db_table for model in slow_database.RUNBOOK_TABLES.values()} <= names
