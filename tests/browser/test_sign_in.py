from django.contrib.auth.models import User

from tests.browser.conftest import Screen, audit


def test_signing_in_leads_to_the_home_page(stranger: Screen, admin_user: User) -> None:
    page = stranger.open("/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("password")
    stranger.follow(page.get_by_role("button", name="Sign in"))
    page.wait_for_url("**/admin/")
    assert page.get_by_role("navigation", name="Main lists").is_visible()


def test_a_wrong_password_says_so_and_stays_readable(stranger: Screen, admin_user: User) -> None:
    page = stranger.open("/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("wrong")
    stranger.follow(page.get_by_role("button", name="Sign in"))
    assert page.get_by_role("alert").is_visible()
    audit(stranger)
