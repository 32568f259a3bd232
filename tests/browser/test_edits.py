import json

import pytest

from apps.operations.models import PendingOperation
from tests.browser.conftest import Look, Screen, audit
from tests.cast import Company, give_up

EDIT = "/admin/operations/pendingoperation/edit/"
BAD = {"title": "Ten chairs", "pipeline_id": 1, "email": "joao@example.com", "items": [{"sku": "A-1", "count": 10}]}
MOVE = '[{"op": "test", "path": "/pipeline_id", "value": 1}, {"op": "add", "path": "/stage_id", "value": 11}]'
looks = pytest.mark.parametrize("look", [Look(), Look("dark", "pt-br"), Look(width=390)], ids=str)


def failed(company: Company, count: int = 1) -> list[PendingOperation]:
    return give_up(company.operations_of(count, payload=BAD, source="shop"))


@looks
def test_a_payload_is_edited_looked_at_and_sent(screen: Screen, empty_company: Company) -> None:
    (operation,) = failed(empty_company)
    page = screen.open(f"{EDIT}?id={operation.pk}")
    audit(screen)
    page.locator("#id_payload").fill(json.dumps(BAD | {"stage_id": 11}))
    page.locator("#id_reason").fill("the stage was missing")
    page.locator("button[name=look]").click()
    page.wait_for_selector("#changes ins")
    audit(screen)
    page.locator("button[name=confirm]").click()
    page.wait_for_selector("#versions")
    audit(screen)


@looks
def test_a_rule_is_tried_and_applied(screen: Screen, empty_company: Company) -> None:
    failed(empty_company, 12)
    page = screen.open(f"{EDIT}?status=failed")
    audit(screen)
    page.locator("#id_rule").fill(MOVE)
    page.locator("#id_reason").fill("the stage was missing")
    page.locator("button[name=look]").click()
    page.wait_for_selector("button[name=confirm]")
    audit(screen)
    page.locator("button[name=confirm]").click()
    page.wait_for_url("**/actionrun/**")


@looks
def test_a_preview_shows_the_blast_radius_and_reckons_another_rate(screen: Screen, empty_company: Company) -> None:
    failed(empty_company, 12)
    page = screen.open("/admin/operations/pendingoperation/verbs/retry/?status=failed")
    audit(screen)
    page.locator("input[value=rate]").check()
    page.locator("#id_rate").fill("0.1")
    page.locator("#duration").get_by_text("2 min").wait_for()
    assert PendingOperation.objects.filter(status="failed").count() == 12
