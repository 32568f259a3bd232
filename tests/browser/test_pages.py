import pytest

from tests.browser.conftest import Look, Screen, audit

PAGES = [
    "/admin/",
    "/admin/auth/user/",
    "/admin/auth/user/add/",
    "/admin/auth/group/",
    "/admin/password_change/",
    "/gallery/home/",
    "/gallery/calm/",
    "/gallery/list/",
    "/gallery/detail/",
    "/gallery/preview/",
    "/gallery/run/",
    "/gallery/history/",
]
every_page = pytest.mark.parametrize("path", PAGES)
in_each_language = pytest.mark.parametrize("look", [Look(language="en"), Look(language="pt-br")], ids=str)


@in_each_language
@every_page
def test_a_page_is_readable_by_everybody_and_breaks_no_policy(screen: Screen, path: str) -> None:
    screen.open(path)
    for theme in ("light", "dark"):
        screen.wear(theme)
        audit(screen)


@in_each_language
def test_the_sign_in_page_is_readable_by_everybody(stranger: Screen) -> None:
    stranger.open("/admin/")
    for theme in ("light", "dark"):
        stranger.wear(theme)
        audit(stranger)


@pytest.mark.parametrize("look", [Look(width=390), Look("dark", "pt-br", 320), Look(width=820)], ids=str)
@every_page
def test_a_page_fits_a_phone_and_a_tablet(screen: Screen, path: str) -> None:
    page = screen.open(path)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    audit(screen)
