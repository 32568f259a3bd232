"""What an event becomes: which endpoints take it, by which mapping, and how it is refused."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from apps.actions.running import run
from apps.actions.selections import Selection
from apps.integrations.models import Endpoint, MappingVersion
from apps.integrations.routing import EndpointPaused, MappingFailed, routed
from apps.jobs.models import Tenant
from apps.operations.intake import Wanted, submit
from tests.cast import ROOT, Company

DEAL = {
    "title": {"from": "data.lead.name"},
    "pipeline_id": {"value": 1},
    "stage_id": {"from": "lookup(`{\"web\": 10}`, data.origin) || `11`"},
}  # fmt: skip


@dataclass(frozen=True)
class Site:
    slug: str = "site"


@dataclass(frozen=True)
class Told:
    """An event, as far as routing looks at it."""

    data: Any = field(default_factory=lambda: {"lead": {"name": "Ten chairs", "id": 7}, "origin": "web"})
    event_type: str = "lead.created"
    subject: str = "lead-7"
    source: Site = Site()


@pytest.fixture
def endpoint(empty_company: Company) -> Endpoint:
    return made(empty_company, "leads", entity_id_expression="subject")


def made(company: Company, slug: str, fields: dict[str, Any] | None = None, **columns: Any) -> Endpoint:
    told = {"name": slug, "event_type": "lead.created", "service": company.piperun, "operation_type": "deal.create"}
    endpoint = Endpoint.objects.create(slug=slug, **told | columns)
    endpoint.mapped_by(fields or DEAL, "ana")
    return endpoint


def refusal(event: Told) -> str:
    with pytest.raises(MappingFailed) as refused:
        routed(event)
    return str(refused.value)


def test_an_event_becomes_the_operation_its_endpoint_says(endpoint: Endpoint) -> None:
    [one] = routed(Told())
    assert (one.service, one.operation_type, one.queue, one.tenant) == ("piperun", "deal.create", "", "")
    assert one.payload == {"title": "Ten chairs", "pipeline_id": 1, "stage_id": 10}
    assert (one.entity_type, one.entity_id) == ("deal", "lead-7")
    assert (one.endpoint, one.version) == (endpoint, endpoint.mapping)


def test_the_operation_names_the_version_that_made_it(endpoint: Endpoint) -> None:
    [one] = routed(Told())
    operation = submit(Wanted(one.operation_type, one.payload, one.service, mapping_version=one.version), "site")
    endpoint.mapped_by(DEAL | {"value": {"value": 1}}, "ana")
    assert operation.mapping_version == endpoint.versions.get(number=1)
    assert str(operation.mapping_version) == "leads@1"


@pytest.mark.parametrize(
    ("pattern", "source", "takes"),
    [
        ("lead.created", "", True),
        ("lead.*", "site", True),
        ("*", "", True),
        ("lead.created*", "", True),
        ("lead", "", False),
        ("lead.c", "", False),
        ("lead.deleted", "", False),
        ("lead.created", "crm", False),
    ],
)
def test_endpoints_take_events_by_source_and_pattern(
    empty_company: Company, pattern: str, source: str, takes: bool
) -> None:
    made(empty_company, "leads", event_type=pattern, source=source)
    assert bool(routed(Told())) is takes


def test_an_event_becomes_one_operation_for_each_endpoint(endpoint: Endpoint, empty_company: Company) -> None:
    made(empty_company, "books", {"lead": {"from": "data.lead"}}, service=empty_company.erp, operation_type="http.post")
    assert [one.endpoint.slug for one in routed(Told())] == ["books", "leads"]


@pytest.mark.parametrize(
    ("condition", "count"), [("data.origin == 'web'", 1), ("data.origin == 'fair'", 0), ("`0`", 1)]
)
def test_a_condition_lets_events_pass_by(empty_company: Company, condition: str, count: int) -> None:
    made(empty_company, "leads", condition=condition)
    assert len(routed(Told())) == count


def test_the_newest_version_is_in_force(endpoint: Endpoint) -> None:
    endpoint.mapped_by(DEAL | {"title": {"value": "A lead"}}, "ana")
    assert routed(Told())[0].payload["title"] == "A lead"


def test_a_failing_field_is_named_with_its_expression(endpoint: Endpoint) -> None:
    assert refusal(Told(data={})) == (
        "Endpoint leads, mapping version 1: title: data.lead.name: finds nothing in this event"
    )


def test_what_the_connector_would_refuse_fails_here_already(empty_company: Company) -> None:
    made(empty_company, "leads", {"title": {"value": "x"}})
    assert "The payload of deal.create cannot be sent: pipeline_id is required" in refusal(Told())


def test_a_failing_condition_is_named(empty_company: Company) -> None:
    made(empty_company, "leads", condition="lower(data.city) == 'x'")
    assert refusal(Told()).endswith("condition: lower(data.city) == 'x': lower() takes string and was given null")


def test_an_endpoint_without_a_mapping_says_so(empty_company: Company) -> None:
    made(empty_company, "leads").versions.all().delete()
    assert refusal(Told()) == "The endpoint leads has no mapping yet. Give it one on its page."


def test_one_failing_endpoint_keeps_the_others_from_making_anything(endpoint: Endpoint, empty_company: Company) -> None:
    made(empty_company, "zeta", {"title": {"from": "data.nothing"}})
    assert "Endpoint zeta" in refusal(Told())


def test_a_paused_endpoint_holds_its_events(endpoint: Endpoint) -> None:
    run(Endpoint.pause, Selection.ticked(Endpoint, [endpoint.pk]), ROOT, given={"reason": "new stages"})
    with pytest.raises(EndpointPaused, match="The endpoint leads is paused: new stages"):
        routed(Told())


def test_a_paused_endpoint_holds_no_event_that_it_would_pass_by(empty_company: Company) -> None:
    endpoint = made(empty_company, "leads", condition="data.origin == 'fair'")
    run(Endpoint.pause, Selection.ticked(Endpoint, [endpoint.pk]), ROOT, given={"reason": "new stages"})
    assert routed(Told()) == []


@pytest.mark.parametrize("columns", [{"tenant_expression": "data.origin"}, {"tenant": "web"}])
def test_the_tenant_is_fixed_or_comes_out_of_the_event(empty_company: Company, columns: dict[str, Any]) -> None:
    web = Tenant.objects.create(slug="web", name="Web")
    made(empty_company, "leads", **columns | ({"tenant": web} if "tenant" in columns else {}))
    assert routed(Told())[0].tenant == "web"


@pytest.mark.parametrize("expression", ["data.origin", "data.company"])
def test_an_unknown_tenant_fails(empty_company: Company, expression: str) -> None:
    made(empty_company, "leads", tenant_expression=expression)
    assert refusal(Told()).endswith(f"{expression}: gives no tenant that there is")


def test_an_entity_id_is_a_text_or_a_whole_number(empty_company: Company) -> None:
    made(empty_company, "leads", entity_id_expression="data.lead.id")
    assert routed(Told())[0].entity_id == "7"
    Endpoint.objects.update(entity_id_expression="data.lead")
    assert "gives no text or whole number" in refusal(Told())


def test_the_same_mapping_again_makes_no_version(endpoint: Endpoint) -> None:
    assert endpoint.mapped_by(DEAL, "bia") == endpoint.mapping
    assert endpoint.versions.count() == 1


def test_a_version_never_changes(endpoint: Endpoint) -> None:
    version = endpoint.mapping
    assert version is not None
    with pytest.raises(TypeError, match="never changes"):
        version.save()
    assert MappingVersion.objects.get().fields == DEAL


def test_routing_asks_the_database_two_questions(
    endpoint: Endpoint, empty_company: Company, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(5):
        made(empty_company, f"more-{number}")
    with django_assert_num_queries(2):
        assert len(routed(Told())) == 6
