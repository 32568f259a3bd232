import pytest

from tests.browser.conftest import Look, Screen


def test_the_first_tab_offers_to_skip_to_the_page(screen: Screen) -> None:
    page = screen.open("/gallery/list/")
    page.keyboard.press("Tab")
    assert page.get_by_role("link", name="Skip to the page").evaluate("link => link === document.activeElement")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_what_has_the_focus_is_outlined(screen: Screen) -> None:
    page = screen.open("/gallery/preview/")
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_escape_closes_the_user_menu_and_gives_the_focus_back(screen: Screen) -> None:
    page = screen.open("/gallery/list/")
    menu = page.locator("details.user")
    menu.locator("summary").press("Enter")
    assert menu.get_attribute("open") is not None
    menu.get_by_role("button", name="Dark").focus()
    page.keyboard.press("Escape")
    assert menu.get_attribute("open") is None
    assert menu.locator("summary").evaluate("summary => summary === document.activeElement")


@pytest.mark.parametrize("look", [Look(width=390)], ids=str)
def test_the_menu_of_a_phone_opens_and_leads_on(screen: Screen) -> None:
    page = screen.open("/gallery/list/")
    assert page.get_by_role("link", name="People").is_hidden()
    page.get_by_role("button", name="Menu").press("Enter")
    page.get_by_role("link", name="People").click()
    page.wait_for_url("**/admin/auth/user/")


def test_a_tick_counts_the_selection_and_wakes_the_verbs(screen: Screen) -> None:
    page = screen.open("/admin/auth/user/")
    page.locator(".action-select").first.press("Space")
    assert page.locator(".action-counter").inner_text() == "1 of 1 selected"
    screen.follow(page.get_by_role("button", name="Delete selected users"))
    assert page.get_by_role("heading", level=1).is_visible()
    assert screen.problems == []
