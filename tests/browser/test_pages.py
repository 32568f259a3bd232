import pytest

from tests.browser.conftest import LOOKS, Look, Screen, audit

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
looks = pytest.mark.parametrize("look", LOOKS, ids=str)


@looks
@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_readable_by_everybody_and_breaks_no_policy(screen: Screen, path: str) -> None:
    screen.open(path)
    audit(screen)


@looks
def test_the_sign_in_page_is_readable_by_everybody(stranger: Screen) -> None:
    stranger.open("/admin/")
    audit(stranger)


@pytest.mark.parametrize("look", [Look(width=390), Look("dark", "pt-br", 390), Look(width=320)], ids=str)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_a_phone(screen: Screen, path: str) -> None:
    page = screen.open(path)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    audit(screen)
