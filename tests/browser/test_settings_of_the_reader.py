import pytest

from tests.browser.conftest import Look, Screen

GROUND = "getComputedStyle(document.documentElement).backgroundColor"
LIGHT, DARK = "rgb(253, 253, 252)", "rgb(21, 21, 20)"


@pytest.mark.parametrize("look", [Look(theme="auto")], ids=str)
def test_the_theme_follows_the_system(screen: Screen) -> None:
    page = screen.open("/gallery/list/")
    assert page.evaluate(GROUND) == LIGHT
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(GROUND) == DARK


def test_a_chosen_theme_is_remembered(screen: Screen) -> None:
    page = screen.open("/gallery/list/")
    page.locator("details.user summary").click()
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(GROUND) == DARK
    page.reload()
    assert page.evaluate(GROUND) == DARK


def test_a_chosen_language_is_remembered(screen: Screen) -> None:
    page = screen.open("/gallery/list/")
    page.locator("details.user summary").click()
    screen.follow(page.get_by_role("button", name="Português"))
    assert page.locator("html").get_attribute("lang") == "pt-br"
    assert page.url.endswith("/gallery/list/")
