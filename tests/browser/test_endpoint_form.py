"""An endpoint's form in Chromium: rows are added and taken away, and what becomes of an event is seen while typing."""

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from apps.integrations.models import Endpoint, EventSource, IntegrationEvent
from tests.browser.conftest import Look, Screen, audit
from tests.cast import Company

LEAD = {"lead": {"name": "Ten chairs", "phone": "(11) 91234-5678"}}
looks = [Look(language="en"), Look(language="pt-br"), Look(width=390)]


@pytest.fixture
def endpoint(company: Company) -> Endpoint:
    source = EventSource.objects.create(slug="site", name="The site")
    told = {"event_id": "1", "event_type": "lead.created", "subject": "lead-7", "body": b"", "proof": "signed"}
    IntegrationEvent.objects.create(source=source, data=LEAD, **told)
    columns = {"event_type": "lead.created", "service": company.piperun, "operation_type": "deal.create"}
    endpoint = Endpoint.objects.create(slug="leads", name="Leads of the site become deals", source="site", **columns)
    fields = {"title": {"from": "data.lead.name"}, "pipeline_id": {"value": 1}, "stage_id": {"value": 10}}
    endpoint.mapped_by(fields, "bia", "the first")
    endpoint.mapped_by(fields | {"stage_id": {"value": 11}}, "ana", "new stage")
    return endpoint


def open_form(screen: Screen, endpoint: Endpoint) -> Page:
    page = screen.open(reverse("admin:integrations_endpoint_change", args=[endpoint.pk]))
    expect(page.locator("#sample option")).to_have_count(1)
    expect(page.locator("#trial table")).to_be_visible()
    return page


@pytest.mark.parametrize("look", looks, ids=str)
def test_the_form_its_trial_and_the_versions_are_readable(screen: Screen, endpoint: Endpoint) -> None:
    page = open_form(screen, endpoint)
    page.locator('[name="mapping-text"]').nth(2).fill("data.lead.nam")
    expect(page.locator("#trial .banner[data-state='failed']")).to_be_visible()
    for theme in ("light", "dark"):
        screen.wear(theme)
        audit(screen)
    screen.open(reverse("admin:integrations_endpoint_versions", args=[endpoint.pk]))
    audit(screen)


def test_a_row_is_added_tried_and_saved(screen: Screen, endpoint: Endpoint) -> None:
    page = open_form(screen, endpoint)
    page.locator("[data-add-row]").click()
    page.keyboard.type("phone")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("digits(data.lead.phone)")
    expect(page.locator("#trial tr", has_text="digits(data.lead.phone)")).to_contain_text("added")
    page.locator("button[name=_save]").click()
    page.wait_for_url("**/endpoint/")
    newest = endpoint.mapping
    assert newest is not None
    assert (newest.number, newest.fields["phone"]) == (3, {"from": "digits(data.lead.phone)"})


def test_a_row_is_taken_away(screen: Screen, endpoint: Endpoint) -> None:
    page = open_form(screen, endpoint)
    page.locator("[data-remove-row]").nth(0).click()
    expect(page.locator("#trial tr", has_text="pipeline_id").first).to_contain_text("removed")
    expect(page.locator("#trial .banner")).to_contain_text("pipeline_id is required")
    assert screen.problems == []
