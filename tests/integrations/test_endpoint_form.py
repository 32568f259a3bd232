"""The endpoint's pages: its form, the trial of its mapping, and its versions."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.integrations.endpoint_forms import constant, constant_text
from apps.integrations.models import Endpoint, EventSource, IntegrationEvent
from tests.cast import Company

LIST = "/admin/integrations/endpoint/"
ROWS = [("title", "from", "data.lead.name"), ("pipeline_id", "value", "1"), ("stage_id", "value", "10")]
LEAD = json.dumps({"lead": {"name": "Ten chairs", "email": "ana@example.com"}})


@pytest.fixture
def editor(client: Client, ana: User) -> Client:
    """Ana, who may add endpoints, too; supervisors may change them."""
    ana.user_permissions.add(Permission.objects.get(codename="add_endpoint"))
    client.force_login(ana)
    return client


@pytest.fixture
def endpoint(empty_company: Company) -> Endpoint:
    endpoint = Endpoint.objects.create(
        slug="leads", name="Leads", event_type="lead.*", service=empty_company.piperun, operation_type="deal.create"
    )
    endpoint.mapped_by({"pipeline_id": {"value": 1}, "stage_id": {"value": 10}, "title": {"from": "type"}}, "bia")
    return endpoint


def filled(company: Company, rows: Any = ROWS, **columns: str) -> dict[str, Any]:
    """Return what the browser sends."""
    target, kind, text = ([*column] for column in zip(*rows, strict=True)) if rows else ([], [], [])
    told = {"slug": "deals", "name": "Leads", "event_type": "lead.*", "operation_type": "deal.create"}
    mapping = {"mapping-target": target, "mapping-kind": kind, "mapping-text": text}
    return told | {"service": str(company.piperun.pk)} | mapping | columns


def errors(answer: Any) -> str:
    assert answer.status_code == 200
    return str(dict(answer.context["adminform"].form.errors))


def test_a_new_endpoint_gets_its_first_version(editor: Client, empty_company: Company) -> None:
    answer = editor.post(f"{LIST}add/", filled(empty_company, note="for the fair"))
    assert answer.status_code == 302
    version = Endpoint.objects.get(slug="deals").mapping
    assert version is not None
    assert version.fields["pipeline_id"] == {"value": 1}
    assert (str(version), version.made_by, version.note) == ("deals@1", "ana", "for the fair")


def test_an_edited_mapping_is_the_next_version(editor: Client, endpoint: Endpoint, empty_company: Company) -> None:
    answer = editor.post(f"{LIST}{endpoint.pk}/change/", filled(empty_company, based_on="1", note="its own name"))
    assert answer.status_code == 302
    assert [version.number for version in endpoint.versions.all()] == [2, 1]
    page = editor.get(f"{LIST}{endpoint.pk}/change/").content.decode()
    assert "Mapping version 2" in page
    assert "Edited" in page


def test_saving_the_same_mapping_makes_no_version(editor: Client, endpoint: Endpoint, empty_company: Company) -> None:
    rows = [("pipeline_id", "value", "1"), ("stage_id", "value", "10"), ("title", "from", "type")]
    answer = editor.post(f"{LIST}{endpoint.pk}/change/", filled(empty_company, rows, based_on="1", name="New name"))
    endpoint.refresh_from_db()
    assert (answer.status_code, endpoint.name, endpoint.versions.count()) == (302, "New name", 1)


def test_who_saves_over_a_newer_version_is_told(editor: Client, endpoint: Endpoint, empty_company: Company) -> None:
    endpoint.mapped_by({"title": {"value": "x"}}, "bia")
    answer = editor.post(f"{LIST}{endpoint.pk}/change/", filled(empty_company, based_on="1"))
    assert "bia made version 2 of the mapping meanwhile" in errors(answer)
    assert endpoint.versions.count() == 2


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], "Add a row for each field of the payload."),
        ([*ROWS, ("title", "value", "x")], "title stands twice."),
        ([*ROWS, ("note", "from", "data.")], "note: ends too early"),
        ([*ROWS, ("", "from", "data")], "A row without a name: is no name of a field"),
        ([*ROWS, ("note", "from", "")], "note: is empty"),
        (ROWS[:1], "deal.create needs pipeline_id, stage_id: add a row for each."),
    ],
)
def test_a_wrong_row_is_refused_in_a_sentence(editor: Client, empty_company: Company, rows: Any, why: str) -> None:
    assert why in errors(editor.post(f"{LIST}add/", filled(empty_company, rows)))
    assert not Endpoint.objects.exists()


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"event_type": "lead *"}, "Give a type such as lead.created"),
        ({"condition": "data.value >"}, "The expression ends too early."),
        ({"operation_type": "http.post"}, "piperun cannot do http.post. It can: deal.create"),
        ({"operation_type": "deal.destroy"}, "deal.destroy is not one of the available choices"),
        ({"entity_id_expression": "lowercase(subject)"}, "did you mean"),
    ],
)
def test_a_wrong_column_is_refused_in_a_sentence(
    editor: Client, empty_company: Company, columns: dict[str, str], why: str
) -> None:
    assert why in errors(editor.post(f"{LIST}add/", filled(empty_company, **columns)))


def test_what_was_typed_stands_there_again_beside_its_error(editor: Client, empty_company: Company) -> None:
    page = editor.post(f"{LIST}add/", filled(empty_company, [("title", "from", "data.lead.")])).content.decode()
    assert 'value="data.lead."' in page


def trial(client: Client, address: str, company: Company, **columns: Any) -> str:
    answer = client.post(address, filled(company, **columns))
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_a_trial_shows_what_becomes_of_an_event_and_keeps_nothing(editor: Client, empty_company: Company) -> None:
    page = trial(editor, f"{LIST}trial/", empty_company, pasted=LEAD)
    assert "It becomes deal.create at piperun." in page
    assert "<code>&quot;Ten chairs&quot;</code>" in page
    assert not Endpoint.objects.exists()


def test_a_trial_shows_beside_it_what_the_version_in_force_makes(
    editor: Client, endpoint: Endpoint, empty_company: Company
) -> None:
    page = trial(editor, f"{LIST}{endpoint.pk}/trial/", empty_company, pasted=LEAD, based_on="1")
    assert "Version 1 gives" in page
    assert '<span class="change" data-change="changed">changed</span>' in page
    assert "<code class=\"soft\">&quot;lead.&quot;</code>" in page  # fmt: skip


def test_a_trial_names_each_field_that_cannot_be_filled(editor: Client, empty_company: Company) -> None:
    rows = [*ROWS, ("note", "from", "data.note"), ("mail", "from", "data.")]
    page = trial(editor, f"{LIST}trial/", empty_company, rows=rows, pasted=LEAD)
    assert "No operation can be made of this event." in page
    assert "data.note: finds nothing in this event" in page
    assert "ends too early" in page


def test_a_trial_shows_what_the_connector_would_refuse(editor: Client, empty_company: Company) -> None:
    rows = [*ROWS[:2], ("stage_id", "value", "ten")]
    page = trial(editor, f"{LIST}trial/", empty_company, rows=rows, pasted=LEAD)
    assert "The payload of deal.create cannot be sent: stage_id" in page


def test_a_trial_says_that_an_event_is_passed_by(editor: Client, empty_company: Company) -> None:
    page = trial(editor, f"{LIST}trial/", empty_company, condition="data.value", pasted=LEAD)
    assert "This event is passed by: the condition does not hold." in page


@pytest.mark.parametrize("pasted", ["{", '{"data": 1e999}', "[" * 60 + "]" * 60, "\0"])
def test_a_trial_refuses_what_is_no_json_in_a_sentence(editor: Client, empty_company: Company, pasted: str) -> None:
    assert 'data-state="warning"' in trial(editor, f"{LIST}trial/", empty_company, pasted=pasted)


def test_a_trial_of_an_unfinished_form_says_what_is_missing(editor: Client, empty_company: Company) -> None:
    assert "Service" in trial(editor, f"{LIST}trial/", empty_company, service="", pasted=LEAD)


def test_a_trial_masks_what_pages_mask(editor: Client, empty_company: Company) -> None:
    page = trial(editor, f"{LIST}trial/", empty_company, rows=[*ROWS, ("mail", "from", "data.lead.email")], pasted=LEAD)
    assert "ana@example.com" not in page


def test_a_whole_event_may_be_pasted(editor: Client, empty_company: Company) -> None:
    event = json.dumps({"type": "lead.created", "source": "site", "subject": "lead-7", "data": json.loads(LEAD)})
    page = trial(editor, f"{LIST}trial/", empty_company, entity_id_expression="subject", pasted=event)
    assert "Entity: deal lead-7." in page


def test_versions_show_what_each_changed(editor: Client, endpoint: Endpoint) -> None:
    endpoint.mapped_by(endpoint.versions.get().fields | {"note": {"value": "x"}}, "ana", "with a note")
    page = editor.get(f"{LIST}{endpoint.pk}/versions/")
    assert [len(each["differences"]) for each in page.context["versions"]] == [1, 3]
    assert "with a note" in page.content.decode()
    assert "/admin/operations/pendingoperation/?mapping=leads%402" in page.content.decode()


def test_an_old_version_is_put_in_force_again_as_a_new_one(editor: Client, endpoint: Endpoint) -> None:
    old = endpoint.versions.get()
    endpoint.mapped_by({"title": {"value": "x"}}, "ana")
    answer = editor.post(f"{LIST}{endpoint.pk}/versions/", {"number": "1"}, follow=True)
    newest = endpoint.mapping
    assert newest is not None
    assert (newest.number, newest.fields, newest.note) == (3, old.fields, "Version 1 again")
    assert "Version 3 is in force: it says what version 1 said." in answer.content.decode()


@pytest.mark.parametrize("number", ["", "9", "x", "9" * 30])
def test_a_version_that_there_is_not_is_not_found(editor: Client, endpoint: Endpoint, number: str) -> None:
    assert editor.post(f"{LIST}{endpoint.pk}/versions/", {"number": number}).status_code == 404
    assert endpoint.versions.count() == 1


def test_whoever_may_only_look_sees_the_mapping_and_changes_nothing(
    client: Client, bia: User, endpoint: Endpoint, empty_company: Company
) -> None:
    client.force_login(bia)
    page = client.get(f"{LIST}{endpoint.pk}/change/")
    assert "<code>always 10</code>" in page.content.decode()
    for path, told in {
        f"{LIST}{endpoint.pk}/change/": filled(empty_company, based_on="1"),
        f"{LIST}{endpoint.pk}/versions/": {"number": "1"},
        f"{LIST}{endpoint.pk}/trial/": filled(empty_company),
        f"{LIST}trial/": filled(empty_company),
        f"{LIST}add/": filled(empty_company),
    }.items():
        assert client.post(path, told).status_code == 403
    assert client.get(f"{LIST}{endpoint.pk}/versions/").status_code == 200
    assert "Make it the current one again" not in client.get(f"{LIST}{endpoint.pk}/versions/").content.decode()
    assert endpoint.versions.count() == 1


def test_nobody_deletes_an_endpoint(admin_client: Client, endpoint: Endpoint) -> None:
    assert admin_client.post(f"{LIST}{endpoint.pk}/delete/", {"post": "yes"}).status_code == 403


def test_strangers_see_no_versions(client: Client, caio: User, endpoint: Endpoint) -> None:
    client.force_login(caio)
    assert client.get(f"{LIST}{endpoint.pk}/versions/").status_code == 403


def test_the_list_keeps_its_number_of_queries(editor: Client, endpoint: Endpoint, empty_company: Company) -> None:
    editor.get(LIST)
    with CaptureQueriesContext(connection) as few:
        editor.get(LIST)
    for number in range(10):
        columns = {"name": "More", "event_type": "x", "service": empty_company.piperun, "operation_type": "deal.create"}
        Endpoint.objects.create(slug=f"more-{number}", **columns).mapped_by({"title": {"value": 1}}, "ana")
    with CaptureQueriesContext(connection) as many:
        page = editor.get(LIST)
    assert len(many) == len(few) <= 18
    assert "deal.create at piperun" in page.content.decode()


@pytest.mark.parametrize("value", [1, "1", "one", " one", "", None, True, [1, {"a": "b"}], "null", '"', "2026-01-01"])
def test_a_constant_is_read_back_as_it_was_shown(value: Any) -> None:
    assert constant(constant_text(value)) == value


def event_of(slug: str = "site", **columns: Any) -> IntegrationEvent:
    source, _made = EventSource.objects.get_or_create(slug=slug, defaults={"name": slug})
    told = {"event_type": "lead.created", "event_id": uuid4().hex, "subject": "lead-7", "body": b"", "proof": "signed"}
    return IntegrationEvent.objects.create(source=source, **told | {"data": json.loads(LEAD)} | columns)


def offered(client: Client, **asked: str) -> list[str]:
    return [event.subject for event in client.get(f"{LIST}samples/", asked).context["samples"]]


def test_the_newest_stored_events_of_the_source_and_type_are_offered(editor: Client, db: None) -> None:
    event_of(subject="old")
    event_of(subject="other", slug="crm")
    event_of(subject="gone", event_type="lead.deleted")
    assert offered(editor, source="site", event_type="lead.created") == ["old"]
    assert offered(editor, event_type="lead.*") == ["gone", "other", "old"]
    assert offered(editor, event_type="lead.") == offered(editor) == offered(editor, event_type="\0") == []


def test_a_trial_takes_a_stored_event_and_leaves_it_as_it_is(editor: Client, empty_company: Company) -> None:
    event = event_of()
    page = trial(editor, f"{LIST}trial/", empty_company, sample=str(event.pk))
    assert "Ten chairs" in page
    assert IntegrationEvent.objects.get().status == "received"


@pytest.mark.parametrize("key", ["x", "0190b3f0-0000-7000-8000-000000000000"])
def test_a_trial_of_an_event_that_is_not_there_says_nothing_wrong(
    editor: Client, empty_company: Company, key: str
) -> None:
    assert "It becomes" not in trial(editor, f"{LIST}trial/", empty_company, sample=key)


def test_who_may_not_see_events_is_offered_none(editor: Client, ana: User, empty_company: Company) -> None:
    event = event_of()
    Group.objects.get(name="Supervisor").permissions.remove(Permission.objects.get(codename="view_integrationevent"))
    assert offered(editor, event_type="*") == []
    assert "Ten chairs" not in trial(editor, f"{LIST}trial/", empty_company, sample=str(event.pk))


def test_a_source_that_there_is_not_is_refused(editor: Client, empty_company: Company) -> None:
    assert "Select a valid choice" in errors(editor.post(f"{LIST}add/", filled(empty_company, source="nowhere")))
