"""Endpoints and mappings as files: written, read back whole or not at all, and refused with their place."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.actions.models import history_of
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.actions.verbs import Invalid
from apps.integrations.configuration import (
    Change,
    exported_endpoints,
    exported_mappings,
    import_endpoints,
    import_mappings,
)
from apps.integrations.models import Endpoint, MappingVersion
from apps.jobs.models import Tenant
from tests.cast import ROOT, Company
from tests.integrations.mappings import MAPPINGS, TEXT

FIELDS = {"title": {"from": "data.name"}, "stage_id": {"value": 10}}
EXPRESSIONS = st.sampled_from(["", "data.id", "subject", "lower(type)"])


@pytest.fixture
def endpoint(empty_company: Company) -> Endpoint:
    return made(empty_company, "leads")


def made(company: Company, slug: str, fields: Any = FIELDS, **columns: Any) -> Endpoint:
    told = {"name": "Leads", "event_type": "lead.*", "service": company.piperun, "operation_type": "deal.create"}
    endpoint = Endpoint.objects.create(slug=slug, **told | columns)
    endpoint.mapped_by(fields, "ana", "the first")
    return endpoint


def edited(text: str, change: Callable[[Any], Any]) -> bytes:
    told = json.loads(text)
    change(told)
    return json.dumps(told).encode()


def command(name: str, *words: str) -> str:
    out = StringIO()
    call_command(name, *words, stdout=out)
    return out.getvalue()


def wiped() -> None:
    MappingVersion.objects.all().delete()
    Endpoint.objects.all().delete()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.from_regex(r"\A[a-z][a-z0-9-]{0,20}\Z"), MAPPINGS, max_size=4),
    st.from_regex(r"\A[a-z.]{1,10}\*?\Z"),
    EXPRESSIONS,
    st.booleans(),
    TEXT,
)
def test_what_is_written_is_read_back_the_same(
    empty_company: Company, mappings: dict[str, Any], pattern: str, expression: str, paused: bool, reason: str
) -> None:
    with transaction.atomic():
        for slug, fields in mappings.items():
            columns = {"condition": expression, "entity_id_expression": expression, "queue": empty_company.books}
            endpoint = made(empty_company, slug, fields, event_type=pattern, **columns)
            if paused:
                held = {"reason": reason.strip() or "held"}
                run(Endpoint.pause, Selection.ticked(Endpoint, [endpoint.pk]), ROOT, given=held)
        files = exported_endpoints(), exported_mappings()
        wiped()
        import_endpoints(files[0].encode(), ROOT)
        import_mappings(files[1].encode(), ROOT)
        assert (exported_endpoints(), exported_mappings()) == files
        transaction.set_rollback(True)


def test_a_file_that_says_what_is_there_changes_nothing(endpoint: Endpoint) -> None:
    assert import_endpoints(exported_endpoints().encode(), ROOT) == [Change("leads")]
    assert import_mappings(exported_mappings().encode(), ROOT) == [Change("leads")]
    assert endpoint.versions.count() == 1


def test_files_are_named_versioned_and_in_order(endpoint: Endpoint, empty_company: Company) -> None:
    made(empty_company, "a-first", tenant=Tenant.objects.create(slug="acme", name="Acme"))
    told = json.loads(exported_endpoints())
    assert (told["format"], told["version"]) == ("opsconsole.endpoints", 1)
    assert [entry["slug"] for entry in told["endpoints"]] == ["a-first", "leads"]
    assert [entry["tenant"] for entry in told["endpoints"]] == ["acme", None]


def test_an_imported_mapping_is_the_next_version_by_whoever_imported_it(endpoint: Endpoint) -> None:
    def change(told: Any) -> None:
        told["mappings"][0]["fields"]["stage_id"] = {"value": 11}

    [changed] = import_mappings(edited(exported_mappings(), change), ROOT)
    newest = endpoint.mapping
    assert newest is not None
    assert changed.told == ["stage_id: always 10 -> always 11"]
    assert (newest.number, newest.made_by, newest.fields["stage_id"]) == (2, "root", {"value": 11})


def test_an_imported_change_stands_in_the_history(endpoint: Endpoint) -> None:
    text = edited(exported_endpoints(), lambda told: told["endpoints"][0].update(condition="data.value"))
    [changed] = import_endpoints(text, ROOT)
    endpoint.refresh_from_db()
    assert changed.told == ["condition: '' -> 'data.value'"]
    assert endpoint.condition == "data.value"
    assert [(item.verb, item.actor_name) for item in history_of(endpoint.pk)] == [("import", "root")]


def test_a_paused_endpoint_is_imported_paused_and_resumed_by_a_file_that_says_so(endpoint: Endpoint) -> None:
    running = exported_endpoints()
    run(Endpoint.pause, Selection.ticked(Endpoint, [endpoint.pk]), ROOT, given={"reason": "new stages"})
    held = exported_endpoints()
    import_endpoints(running.encode(), ROOT)
    endpoint.refresh_from_db()
    assert endpoint.status == "active"
    import_endpoints(held.encode(), ROOT)
    endpoint.refresh_from_db()
    assert (endpoint.status, endpoint.paused_reason) == ("paused", "new stages")


def test_endpoints_that_a_file_does_not_name_stay(endpoint: Endpoint, empty_company: Company) -> None:
    text = exported_endpoints()
    made(empty_company, "later")
    import_endpoints(text.encode(), ROOT)
    assert Endpoint.objects.filter(slug="later").exists()


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"service": "piperum"}, "endpoints.1.service: there is no service piperum; did you mean piperun?"),
        ({"queue": "crmm"}, "endpoints.1.queue: there is no queue crmm; did you mean crm?"),
        ({"source": "sight"}, "endpoints.1.source: there is no source sight; known: erp-sync,"),
        ({"tenant": "acme"}, "endpoints.1.tenant: there is no tenant acme; "),
        (
            {"operation_type": "deal.craete"},
            "endpoints.1.operation_type: piperun cannot do deal.craete; did you mean deal",
        ),
        ({"event_type": "lead *"}, "endpoints.1.event_type: Give a type such as lead.created"),
        ({"condition": "data."}, "endpoints.1.condition: The expression ends too early."),
        ({"slug": "a b"}, "endpoints.1.slug: Enter a valid"),
        ({"slug": "leads"}, "endpoints.1.slug: leads stands twice in the file"),
        ({"name": 7}, "endpoints.1.name: Input should be a valid string"),
        ({"status": "active"}, "endpoints.1.status: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_endpoint_is_refused_with_its_place_and_nothing_is_imported(
    endpoint: Endpoint, entry: dict[str, Any], why: str
) -> None:
    def change(told: Any) -> None:
        told["endpoints"] = [
            {**told["endpoints"][0], "name": "New"},
            {**told["endpoints"][0], "slug": "second", **entry},
        ]

    with pytest.raises(Invalid) as refused:
        import_endpoints(edited(exported_endpoints(), change), ROOT)
    assert str(refused.value).startswith(f"Nothing was imported. {why}")
    assert list(Endpoint.objects.values_list("slug", "name")) == [("leads", "Leads")]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"endpoint": "leds"}, "mappings.1.endpoint: there is no endpoint leds; did you mean leads?"),
        ({"fields": {"title": {"from": "data."}}}, "mappings.1.fields.title: ends too early"),
        ({"fields": {}}, "mappings.1.fields: A mapping is an object"),
        ({"fields": {"api_token": {"value": "x"}}}, "mappings.1.fields.api_token: holds a secret"),
    ],
)
def test_a_wrong_mapping_is_refused_with_its_place_and_nothing_is_imported(
    endpoint: Endpoint, empty_company: Company, entry: dict[str, Any], why: str
) -> None:
    second = made(empty_company, "second")

    def change(told: Any) -> None:
        told["mappings"][0]["fields"] = {"title": {"value": "x"}}
        told["mappings"][1] |= entry

    with pytest.raises(Invalid) as refused:
        import_mappings(edited(exported_mappings(), change), ROOT)
    assert str(refused.value).startswith(f"Nothing was imported. {why}")
    assert (endpoint.versions.count(), second.versions.count()) == (1, 1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"format":\n "opsconsole.mappings",,}', "at line 2"),
        (b"\xff", "is not UTF-8"),
        (b"[]", "-: Input should be"),
        (b"{}", "format: Field required"),
        (b'{"format": "opsconsole.endpoints", "version": 1, "mappings": []}', "format: Input should be"),
        (b'{"format": "opsconsole.mappings", "version": 2, "mappings": []}', "version: Input should be 1"),
    ],
)
def test_what_is_no_such_file_is_refused_with_the_line(db: None, text: bytes, why: str) -> None:
    with pytest.raises(Invalid, match="Nothing was imported") as refused:
        import_mappings(text, ROOT)
    assert why in str(refused.value)


def test_the_commands_write_and_read_the_files(endpoint: Endpoint, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}_backup.json" for name in ("endpoints", "mappings")}
    files["endpoints"].write_text(command("export_endpoints"))
    files["mappings"].write_text(command("export_mappings"))
    wiped()
    assert command("import_endpoints", str(files["endpoints"])).endswith("1 changed, 0 stay as they are.\n")
    assert command("import_mappings", str(files["mappings"])).startswith("+ leads\n    stage_id: - -> always 10\n")
    assert command("export_mappings") == files["mappings"].read_text()


def test_a_dry_run_shows_what_would_change_and_changes_nothing(endpoint: Endpoint, tmp_path: Path) -> None:
    for name, text in {"endpoints": exported_endpoints(), "mappings": exported_mappings()}.items():
        (tmp_path / name).write_text(text.replace('"lead.*"', '"lead.created"').replace("data.name", "data.title"))
    told = command("import_endpoints", str(tmp_path / "endpoints"), "--dry-run")
    assert "~ leads\n    event_type: 'lead.*' -> 'lead.created'\n1 would change" in told
    assert "title: data.name -> data.title" in command("import_mappings", str(tmp_path / "mappings"), "--dry-run")
    endpoint.refresh_from_db()
    assert (endpoint.event_type, endpoint.versions.count()) == ("lead.*", 1)


def test_a_file_that_is_not_there_is_refused(db: None) -> None:
    with pytest.raises(CommandError, match=r"nowhere\.json cannot be read: No such file"):
        command("import_mappings", "nowhere.json")


@pytest.mark.parametrize("name", ["endpoints", "mappings"])
def test_who_may_look_downloads_the_same_file(
    client: Client, bia: User, caio: User, endpoint: Endpoint, name: str
) -> None:
    client.force_login(bia)
    answer = client.get(f"/admin/integrations/endpoint/{name}.json")
    assert answer.content.decode() == command(f"export_{name}")
    assert answer["Content-Disposition"] == f'attachment; filename="{name}_backup.json"'
    client.force_login(caio)
    assert client.get(f"/admin/integrations/endpoint/{name}.json").status_code == 403
