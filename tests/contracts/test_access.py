"""Who may call what: every call of the OpenAPI and every page of the URL resolver, by every kind of caller (S01, S02, S04, S05).

The rule stands in docs/security.md. A new call or page is tested by being there.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from apps.actions.permissions import GROUPS
from apps.actions.running import database_now, run
from apps.actions.selections import Selection
from apps.actions.verbs import nouns, slug_of, verbs_of
from apps.integrations import keys
from apps.integrations.models import ApiKey
from opsconsole import aliases
from opsconsole.api import api
from tests.api import Api
from tests.cast import ROOT, Company
from tests.contracts.test_verbs import checksums
from tests.contracts.world import VERBS, populate

pytestmark = pytest.mark.django_db
SOME_ID = "0192f0c1-2b3c-7def-8a90-0123456789ab"
SCHEMA: dict[str, Any] = api.get_openapi_schema(path_prefix="/api/")
CALLS = [(method.upper(), path) for path, found in SCHEMA["paths"].items() for method in found]
WRITES = [path for method, path in CALLS if method == "POST"]
DANGEROUS = {
    path
    for verb in VERBS
    if verb.danger
    for path in (f"/api/{slug_of(verb.model)}/{verb.name}", f"/api/{slug_of(verb.model)}/{{id}}/{verb.name}")
}
"""The calls that begin with supervisors."""
ANYBODYS = {"/api/me"}
"""A key may always ask who it is."""
TURNED_AWAY = (401, 403)


def sample(schema: dict[str, Any]) -> Any:
    """Return the least that a schema asks for."""
    if "$ref" in schema:
        return sample(SCHEMA["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if schema.get("type") == "object":
        required = (schema.get("anyOf") or [schema])[0].get("required", ())
        return {name: sample(schema["properties"][name]) for name in required}
    for word in ("allOf", "anyOf", "oneOf"):
        if word in schema:
            return sample(schema[word][0])
    if schema.get("type") == "array":
        return [sample(schema.get("items", {}))]
    if "enum" in schema:
        return schema["enum"][0]
    return {"integer": 1, "number": 1, "boolean": True}.get(schema.get("type", ""), SOME_ID)


def body_of(path: str) -> Any:
    """Return a body that a call reads; for a verb on many, with an id of nobody's."""
    asked = SCHEMA["paths"][path]["post"].get("requestBody")
    if asked is None:
        return None
    schema = next(iter(asked["content"].values()))["schema"]
    named = SCHEMA["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
    many = {"ids": [SOME_ID]} if {"ids", "filter"} <= set(named.get("properties", {})) else {}
    found = sample(schema)
    return found | many if isinstance(found, dict) else found


def call(caller: Api, method: str, path: str) -> int:
    """Make a call and return its status."""
    where = path.replace("{id}", SOME_ID)
    answer = caller.get(where) if method == "GET" else caller.send(where, body_of(path))
    return int(answer.status_code)


def asked_by(caller: Api) -> dict[str, int]:
    """Make every call."""
    return {f"{method} {path}": call(caller, method, path) for method, path in CALLS}


def key(group: str = "Supervisor", **how: Any) -> tuple[ApiKey, Api]:
    made, plain = keys.make("matrix", Group.objects.get(name=group), **how)
    return made, Api(plain)


# The API


def closed(how: str) -> Api:
    made, caller = key()
    if how == "revoked":
        run(ApiKey.revoke, Selection.ticked(ApiKey, [made.pk]), ROOT, given={"reason": "x"})
    if how == "expired":
        ApiKey.objects.filter(pk=made.pk).update(expires_at=database_now())
    return {"none": Api(), "unknown": Api("ops_unknown")}.get(how, caller)


@pytest.mark.parametrize("how", ["none", "unknown", "revoked", "expired"])
def test_no_call_answers_without_an_open_key(company: Company, how: str) -> None:
    caller, before = closed(how), checksums()
    assert set(asked_by(caller).values()) == {401}
    unlogged = {"integrations_accessrefusal": ""}
    assert checksums() | unlogged == before | unlogged


def test_a_scope_of_another_noun_opens_no_call(company: Company) -> None:
    _made, caller = key(scopes=["tenants:view"])
    opened = {told for told, status in asked_by(caller).items() if status not in TURNED_AWAY}
    assert opened == {"GET /api/me", "GET /api/tenants", "GET /api/tenants/{id}"}


def test_the_scope_of_the_log_opens_the_log_alone(company: Company) -> None:
    _made, caller = key(scopes=["log-lines:view"])
    opened = {told for told, status in asked_by(caller).items() if status not in TURNED_AWAY}
    assert opened == {"GET /api/me", "GET /api/logs", "GET /api/logs/patterns"}


@pytest.mark.parametrize("group", GROUPS)
def test_each_group_may_call_what_the_rule_says(company: Company, group: str) -> None:
    _made, caller = key(group)
    refused = {told for told, status in asked_by(caller).items() if status in TURNED_AWAY}
    posts = set(WRITES) - ANYBODYS
    expected = {"Viewer": posts, "Operator": posts & DANGEROUS, "Supervisor": set[str]()}[group]
    assert refused == {f"POST {path}" for path in expected}


def test_the_rule_is_written_down() -> None:
    told = Path("docs/security.md").read_text()
    assert "| Viewer |" in told
    dangerous = {f"`{slug_of(verb.model)}:{verb.name}`" for verb in VERBS if verb.danger}
    assert {word for word in dangerous if word not in told} == set()


# Rows that are not there, or not theirs


def test_a_foreign_id_is_404() -> None:
    _made, caller = key()
    found = {path: call(caller, "POST", path) for path in WRITES if "{id}" in path}
    assert {path: status for path, status in found.items() if status != 404} == {}


def test_a_bulk_with_one_foreign_id_moves_no_row(company: Company) -> None:
    populate(company)
    _made, caller = key()
    caller.get("/api/me")
    before = checksums()
    for verb in VERBS:
        own = [str(pk) for pk in verb.model._default_manager.values_list("pk", flat=True)[:3]]
        path = f"/api/{slug_of(verb.model)}/{verb.name}"
        answer = caller.send(path, body_of(path) | {"ids": [*own, SOME_ID]})
        assert answer.status_code in (404, 422), verb
    assert checksums() == before


# Nothing more is taken than what is documented

COLUMNS = ("status", "token", "attempts", "is_superuser", "digest", "actor_name", "created_at", "nonsense")
"""What somebody might slip into a body."""


def slipped(path: str) -> Iterator[Any]:
    """Return the bodies of a call with one field more than it knows."""
    body = body_of(path)
    for column in COLUMNS:
        if not isinstance(body, dict):
            yield {column: "x"}
        elif column not in _documented(path):
            yield {**body, column: "x"}


def test_no_body_takes_a_field_that_is_not_documented(company: Company) -> None:
    _made, caller = key()
    caller.get("/api/me")
    before = checksums()
    taken = [
        (path, body)
        for path in WRITES
        for body in slipped(path)
        if caller.send(path.replace("{id}", SOME_ID), body).status_code not in (400, 422)
    ]
    assert taken == []
    assert checksums() == before


def test_no_address_takes_a_word_that_is_not_documented(company: Company) -> None:
    _made, caller = key()
    found = {}
    for method, path in CALLS:
        where = path.replace("{id}", SOME_ID) + "?batchsize=1"
        answer = caller.get(where) if method == "GET" else caller.send(where, body_of(path))
        found[method, path] = answer.status_code
    assert {told: status for told, status in found.items() if status != 400} == {}


def _documented(path: str) -> set[str]:
    content = SCHEMA["paths"][path]["post"]["requestBody"]["content"]
    name = next(iter(content.values()))["schema"].get("$ref", "").rpartition("/")[2]
    return set(SCHEMA["components"]["schemas"].get(name, {}).get("properties", {}))


# Pages

OPEN = {
    "admin/login/",
    "health",
    "health/live",
    "health/ready",
    "admin/jsi18n/",
    "i18n/setlang/",
    "sign-in/<str:token>/",
}
"""Open to everybody: what shows no data. (The sign-in link needs its token, and is not there in production.)"""
DOORS = {"webhook/<slug:source>", "webhook/<slug:source>/<str:secret>"}
"""Signed, and open to no cookie."""
ALIASES = {*aliases.PAGES}
"""The first words of the API's paths without /api: they take keys, and no cookies."""
PLACES = {"slug:name": "pause", "uuid:key": SOME_ID, "path:content_type_id": "1", "slug:what": "crm"}


def routes(patterns: Any = None, before: str = "") -> Iterator[str]:
    """Every route that the console answers."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, before + str(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            yield before + str(pattern.pattern)


PAGES = sorted({route for route in routes() if not route.startswith("api/") and "(?P" not in route})


def address(route: str) -> str:
    return "/" + re.sub(r"<([^>]+)>", lambda found: PLACES.get(found[1], SOME_ID), route)


def turned_away(answer: Any) -> bool:
    """Say whether an answer shows nothing: it leads to the sign-in or refuses."""
    led = answer.status_code == 302 and ("/login/" in answer["Location"] or answer["Location"] == "/admin/")
    return led or answer.status_code in (401, 403, 404, 405)


def test_a_stranger_gets_in_nowhere_but_at_the_open_doors(client: Client) -> None:
    closed = [address(route) for route in PAGES if route not in OPEN]
    let_in = [path for path in closed for ask in (client.get, client.post) if not turned_away(ask(path))]
    assert let_in == []


def test_no_post_is_taken_without_its_token() -> None:
    caller = Client(enforce_csrf_checks=True)
    caller.force_login(User.objects.create_superuser("root"))
    statuses = {route: caller.post(address(route)).status_code for route in PAGES}
    exempt = {route for route in PAGES if route in DOORS or {route, route.split("/")[0]} & ALIASES}
    assert {route: status for route, status in statuses.items() if status not in (403, 405)}.keys() <= exempt
    assert {statuses[route] for route in exempt} <= {401, 404, 405}


def test_a_session_writes_nothing_over_the_api(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    statuses = {
        client.post(path.replace("{id}", SOME_ID), body_of(path), "application/json").status_code for path in WRITES
    }
    assert statuses == {401}


@pytest.mark.parametrize("group", GROUPS)
def test_each_group_sees_every_noun_and_its_own_verbs(company: Company, group: str) -> None:
    person = User.objects.create_user("person", is_staff=True)
    person.groups.set(Group.objects.filter(name=group))
    client = Client()
    client.force_login(person)
    for noun in nouns():
        base = f"/admin/{noun._meta.app_label}/{noun._meta.model_name}/"
        assert client.get(base).status_code == 200
        assert client.get(f"{base}add/").status_code == 403
        for name, verb in verbs_of(noun).items():
            may = group == "Supervisor" or (group == "Operator" and not verb.danger)
            status = client.get(f"{base}verbs/{name}/?id={SOME_ID}").status_code
            assert (status == 403) is not may, (verb, status)


def test_a_popup_and_an_autocomplete_give_nothing_away(client: Client, ana: User) -> None:
    client.force_login(ana)
    keys_list = "/admin/integrations/apikey/"
    assert client.get(f"{keys_list}?_to_field=digest&_popup=1").status_code in (400, 403)
    asked = "/admin/autocomplete/?app_label=integrations&model_name=apikey&field_name=group&term=a"
    assert client.get(asked).status_code in (403, 404)
    assert client.get(f"{keys_list}?digest__startswith=a").status_code == 400


def test_a_form_takes_no_column_that_it_does_not_show(client: Client, company: Company) -> None:
    client.force_login(User.objects.create_superuser("root"))
    path = f"/admin/jobs/queue/{company.crm.pk}/change/"
    client.post(
        path,
        {
            "slug": "crm",
            "name": "crm",
            "concurrency": 3,
            "status": "paused",
            "id": SOME_ID,
            "most_waiting": 9,
            "longest_wait_seconds": 9,
        },
    )
    company.crm.refresh_from_db()
    assert (company.crm.concurrency, company.crm.status) == (3, "active")
