import pytest
from django.contrib.auth.models import User

from apps.actions.models import SavedView
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.deadletters.models import FailureFamily
from tests.browser.conftest import Look, Screen, audit
from tests.cast import ROOT, Company

LETTERS, FAMILIES = "/admin/deadletters/deadletter/", "/admin/deadletters/failurefamily/"
looks = pytest.mark.parametrize("look", [Look(), Look(language="pt-br"), Look(width=390)], ids=str)


@pytest.fixture
def family(company: Company) -> FailureFamily:
    company.failed(12)
    return FailureFamily.objects.get(error_type="http_422")


def readable(screen: Screen, path: str) -> None:
    page = screen.open(path)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    for theme in ("light", "dark"):
        screen.wear(theme)
        audit(screen)


@looks
@pytest.mark.parametrize("name", ["causes", "groups", "views"])
def test_the_groupings_and_the_saved_views_are_readable(
    screen: Screen, family: FailureFamily, admin_user: User, name: str
) -> None:
    run(FailureFamily.acknowledge, Selection.ticked(FailureFamily, [family.pk]), ROOT, given={"owner": "admin"})
    SavedView.objects.create(kind="deadletters.deadletter", owner=admin_user, name="No stage", words={"q": "stage"})
    readable(screen, f"{LETTERS}{name}/")


@looks
def test_the_families_and_the_page_of_one_are_readable(screen: Screen, family: FailureFamily) -> None:
    readable(screen, FAMILIES)
    readable(screen, f"{FAMILIES}{family.pk}/change/")


def test_a_family_is_acknowledged_and_its_members_are_previewed(screen: Screen, family: FailureFamily) -> None:
    page = screen.open(f"{FAMILIES}{family.pk}/change/")
    page.get_by_role("button", name="Acknowledge").click()
    page.get_by_role("button", name="Acknowledge 1 failure family").click()
    page.get_by_text("acknowledged", exact=True).first.wait_for()
    page.get_by_role("button", name="Retry 14").click()
    page.get_by_role("heading", name="Retry: dead letters").wait_for()
    audit(screen)


def test_what_a_family_counts_and_offers_follows_by_itself(
    screen: Screen, family: FailureFamily, company: Company
) -> None:
    screen.page.clock.install()
    page = screen.open(f"{FAMILIES}{family.pk}/change/")
    company.failed(3)
    page.clock.run_for(11_000)
    page.get_by_role("button", name="Retry 17").wait_for()
    assert screen.problems == []


def test_what_a_list_shows_is_saved_under_a_name(screen: Screen, family: FailureFamily) -> None:
    page = screen.open(f"{LETTERS}?status=unresolved")
    page.get_by_text("Save this view").click()
    page.get_by_label("Name").fill("Waiting")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="Waiting", exact=True).wait_for()
    audit(screen)
