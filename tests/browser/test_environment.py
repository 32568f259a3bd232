"""The badge of the place: readable by everybody, in each theme and on a phone; and a restored console's banner."""

import pytest
from pytest_django import Settings

from apps.actions.models import Installation
from apps.jobs.restoring import hold_if_restored
from tests.browser.conftest import Look, Screen, audit

looks = pytest.mark.parametrize("look", [Look(language="en"), Look(language="pt-br", width=390)], ids=str)


@looks
@pytest.mark.parametrize("name", ["production", "qa"])
def test_where_one_is_can_be_read(screen: Screen, settings: Settings, name: str) -> None:
    settings.ENVIRONMENT = name
    page = screen.open("/admin/")
    assert page.locator(".where").is_visible()
    for theme in ("light", "dark"):
        screen.wear(theme)
        audit(screen)


@looks
def test_a_restored_console_says_so_first(screen: Screen) -> None:
    Installation.objects.update(place="another")
    hold_if_restored()
    page = screen.open("/admin/")
    banner = page.locator(".banner[data-state=failed]").first
    assert banner.locator("a").get_attribute("href") == "/admin/operations/pendingoperation/?restored=yes"
    audit(screen)
