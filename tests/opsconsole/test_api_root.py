from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from apps.actions.verbs import looked_at, nouns, slug_of
from apps.integrations.models import ApiKey
from opsconsole.api import NOUNS, api
from tests.api import Api, problem
from tests.cast import Company

pytestmark = pytest.mark.django_db
LIST = "/api/pending-operations"


def calls() -> list[tuple[str, str]]:
    """Every method and address that the documentation names, with an id in its place."""
    paths = api.get_openapi_schema(path_prefix="/api/")["paths"]
    some_id = "0192f0c1-2b3c-7def-8a90-0123456789ab"
    return [(method.upper(), path.replace("{id}", some_id)) for path, found in paths.items() for method in found]


@pytest.mark.parametrize("header", ["X-API-Key", "Authorization"])
@pytest.mark.parametrize("key", ["ops_wrong", "é", "\x00", "x" * 5000])
def test_an_unknown_key_opens_nothing(header: str, key: str) -> None:
    text = f"Bearer {key}" if header == "Authorization" else key
    assert "Invalid API key" in problem(Client(headers={header: text}).get(LIST), 401)["detail"]


def test_a_bearer_token_is_the_same_key(ana_api: Api) -> None:
    bearer = Client(headers={"Authorization": f"bearer {ana_api.key}"})
    assert bearer.get("/api/me").json()["name"] == "ana"


def test_a_revoked_key_opens_nothing_from_the_next_request_on(ana_api: Api, bia_api: Api) -> None:
    bia = ApiKey.objects.get(name="bia")
    ana_api.send(f"/api/api-keys/{bia.pk}/revoke", {"reason": "bia left"})
    problem(bia_api.get(LIST), 401)


def test_a_refusal_says_how_to_show_a_key() -> None:
    assert Client().get(LIST)["WWW-Authenticate"].startswith("Bearer")


def test_a_session_is_no_key(ana: User, client: Client) -> None:
    client.force_login(ana)
    problem(client.get(LIST), 401)


def test_no_part_of_a_key_but_its_beginning_is_stored(ana_api: Api) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(k::text, ' ') FROM integrations_apikey k")
        dump: str = cursor.fetchone()[0]
    assert ana_api.key[:8] in dump
    assert ana_api.key[:12] not in dump


def test_use_of_a_key_is_noted_once_a_minute(ana_api: Api) -> None:
    ana_api.get("/api/me")
    first = ApiKey.objects.get(name="ana").last_used_at
    ana_api.get("/api/me")
    assert first is not None
    assert ApiKey.objects.get(name="ana").last_used_at == first


@pytest.mark.parametrize("path", ["/api/docs", "/api/openapi.json"])
def test_the_documentation_is_for_those_who_are_signed_in(path: str, client: Client, ana: User) -> None:
    assert client.get(path)["Location"].startswith("/admin/login/")
    client.force_login(ana)
    assert client.get(path).status_code == 200


def test_a_key_opens_the_documentation_too(bia_api: Api) -> None:
    assert "/api/pending-operations/status" in bia_api.get("/api/openapi.json").json()["paths"]


def test_every_noun_is_served() -> None:
    assert set(NOUNS) == {*nouns(), *looked_at()}


@pytest.mark.parametrize("noun", sorted(map(slug_of, nouns())))
def test_every_noun_is_listed_with_its_rows(noun: str, ana_api: Api, company: Company) -> None:
    page = ana_api.get(f"/api/{noun}").json()
    assert set(page) >= {"items", "next"}


def test_an_unknown_address_is_a_problem_body(ana_api: Api) -> None:
    assert "/api/docs" in problem(ana_api.get("/api/nonsense"), 404)["detail"]


def test_a_wrong_method_is_a_problem_body_that_names_the_right_one(ana_api: Api) -> None:
    answer = ana_api.delete(LIST)
    assert "DELETE" in problem(answer, 405)["detail"]
    assert answer["Allow"] in ("GET, POST", "POST, GET")


def test_no_answer_is_kept_by_a_cache(ana_api: Api) -> None:
    assert ana_api.get(LIST)["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "query", ["q=%00", "q=" + "x" * 5000, "since=yesterday", "status=%00", "after=%00", "limit=1e9"]
)
def test_a_strange_query_is_refused(ana_api: Api, query: str) -> None:
    assert ana_api.get(f"{LIST}?{query}").status_code in (400, 422)


SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(9); RETURN NULL; END';
CREATE TRIGGER slow BEFORE INSERT ON operations_pendingoperation FOR EACH ROW EXECUTE FUNCTION slow();
SET LOCAL statement_timeout = '200ms';
"""


def test_a_database_that_takes_too_long_is_503_with_a_time_to_come_again(ana_api: Api, empty_company: Company) -> None:
    with connection.cursor() as cursor:
        cursor.execute(SLOW)
    answer = ana_api.send(LIST, {"operation_type": "http.post", "payload": {}})
    assert "took too long" in problem(answer, 503)["detail"]
    assert answer["Retry-After"] == "5"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", [LIST, "/api/me"])
def test_a_database_that_is_down_is_503_with_a_time_to_come_again(
    ana_api: Api, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    away(monkeypatch)
    answer = ana_api.get(path)
    assert "cannot be reached" in problem(answer, 503)["detail"]
    assert answer["Retry-After"] == "5"


@pytest.mark.django_db(transaction=True)
def test_a_page_says_that_the_database_is_down(client: Client, ana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client.force_login(ana)
    away(monkeypatch)
    answer = client.get("/admin/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "cannot be reached" in answer.content.decode()


def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next connection find nobody."""
    connection.close()
    settings: dict[str, Any] = connection.settings_dict
    monkeypatch.setitem(settings, "HOST", "/nowhere")


@pytest.mark.parametrize("path", [LIST, "/api/dlq", f"{LIST}/list"])
def test_a_word_that_stands_twice_in_the_address_is_refused(ana_api: Api, path: str) -> None:
    assert "status stands 2 times" in problem(ana_api.get(f"{path}?status=failed&status="), 400)["detail"]
