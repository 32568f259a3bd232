import pytest
from django.urls import reverse

from tests.browser.conftest import Look, Screen, audit
from tests.cast import Company

LISTS = [
    "operations_pendingoperation",
    "deadletters_deadletter",
    "integrations_service",
    "jobs_queue",
    "actions_actionrun",
]
looks = [Look(language="en"), Look(language="pt-br"), Look(width=390)]


@pytest.mark.parametrize("look", looks, ids=str)
@pytest.mark.parametrize("noun", LISTS)
def test_the_list_of_a_noun_and_one_of_its_rows_are_readable(screen: Screen, company: Company, noun: str) -> None:
    page = screen.open(reverse(f"admin:{noun}_changelist"))
    audit(screen)
    rows = page.locator("#result_list tbody th a")
    if rows.count():
        screen.open(rows.first.get_attribute("href") or "")
        for theme in ("light", "dark"):
            screen.wear(theme)
            audit(screen)


@pytest.mark.parametrize("look", looks, ids=str)
def test_the_home_page_is_readable_when_things_are_wrong(screen: Screen, company: Company) -> None:
    company.failed(12)
    page = screen.open("/admin/")
    assert page.locator(".failure").count() > 0
    for theme in ("light", "dark"):
        screen.wear(theme)
        audit(screen)


def test_a_cause_on_the_home_page_leads_to_its_preview_and_its_run(screen: Screen, company: Company) -> None:
    company.failed(12)
    page = screen.open("/admin/")
    page.get_by_role("button", name="Retry 1").first.click()
    page.wait_for_url("**/deadletter/**")
    audit(screen)
    page.locator("form.ask button").first.click()
    page.wait_for_url("**/actionrun/**")
    audit(screen)
