"""Operations that events became: each names the mapping version that made it, on every face."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from apps.actions.running import run
from apps.actions.selections import Selection
from apps.integrations import processing
from apps.integrations.models import Endpoint, IntegrationEvent
from apps.operations.models import PendingOperation
from tests.api import Api
from tests.cast import ROOT, Company, matching
from tests.integrations.events import event_of, source

FIELDS = {"title": {"from": "data.lead.name"}, "pipeline_id": {"value": 1}, "stage_id": {"value": 10}}
LEAD = {"lead": {"name": "Ten chairs"}}


@pytest.fixture
def endpoint(empty_company: Company) -> Endpoint:
    columns: dict[str, Any] = {"service": empty_company.piperun, "operation_type": "deal.create"}
    endpoint = Endpoint.objects.create(slug="leads", name="Leads", event_type="lead.*", **columns)
    endpoint.mapped_by(FIELDS, "ana")
    return endpoint


@pytest.fixture
def operation(endpoint: Endpoint) -> PendingOperation:
    event = event_of(source(), event_type="lead.created", data=LEAD)
    processing.process(5)
    return PendingOperation.objects.get(event=event)


def test_an_event_becomes_an_operation_that_names_its_mapping(operation: PendingOperation, endpoint: Endpoint) -> None:
    assert operation.payload == {"title": "Ten chairs", "pipeline_id": 1, "stage_id": 10}
    assert operation.mapping_version == endpoint.mapping


def test_the_page_of_an_operation_leads_to_the_mapping_that_made_it(
    client: Client, bia: User, operation: PendingOperation, endpoint: Endpoint
) -> None:
    client.force_login(bia)
    page = client.get(f"/admin/operations/pendingoperation/{operation.pk}/change/").content.decode()
    assert f'<a href="/admin/integrations/endpoint/{endpoint.pk}/change/">leads@1</a>' in page


def test_the_api_names_the_mapping_and_shows_its_versions(
    bia_api: Api, operation: PendingOperation, endpoint: Endpoint
) -> None:
    assert bia_api.get(f"/api/pending-operations/{operation.pk}").json()["mapping"] == "leads@1"
    told = bia_api.get(f"/api/endpoints/{endpoint.pk}").json()
    assert [(version["name"], version["fields"]) for version in told["versions"]] == [("leads@1", FIELDS)]
    assert bia_api.get("/api/endpoints?type=lead.*").json()["items"][0]["service"] == "piperun"


def test_operations_are_found_by_the_mapping_that_made_them(
    operation: PendingOperation, empty_company: Company
) -> None:
    empty_company.operation()
    assert list(matching(mapping="leads@1").rows()) == [operation]


def test_a_mended_mapping_makes_of_a_replayed_event_what_failed_before(endpoint: Endpoint) -> None:
    endpoint.mapped_by(FIELDS | {"title": {"from": "data.lead.titel"}}, "ana")
    event = event_of(source(), event_type="lead.created", data=LEAD)
    processing.process(5)
    event.refresh_from_db()
    assert (event.status, event.last_error) == (
        "failed",
        "Endpoint leads, mapping version 2: title: data.lead.titel: finds nothing in this event",
    )
    endpoint.mapped_by(FIELDS, "ana")
    run(IntegrationEvent.replay, Selection.ticked(IntegrationEvent, [event.pk]), ROOT)
    processing.process(5)
    assert str(PendingOperation.objects.get(event=event).mapping_version) == "leads@3"
