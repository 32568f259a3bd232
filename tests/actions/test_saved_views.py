from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.actions.models import SavedView

pytestmark = pytest.mark.usefixtures("company")
LIST = "/admin/operations/pendingoperation/"
WORDS = "status=failed&q=stage"


@pytest.fixture
def page(client: Client, ana: User) -> Client:
    client.force_login(ana)
    return client


@pytest.fixture
def other(bia: User) -> Client:
    """Bia, who looks."""
    client = Client()
    client.force_login(bia)
    return client


def save(page: Client, name: str = "No stage", words: str = WORDS, **more: str) -> Any:
    return page.post(f"{LIST}views/", {"name": name, "words": words, **more})


def shown(page: Client) -> list[str]:
    return [view["name"] for view in page.get(LIST).context["views"]]


def test_a_view_leads_back_to_the_same_rows(page: Client) -> None:
    answer = save(page)
    assert answer["Location"] == f"{LIST}?q=stage&status=failed"
    assert page.get(answer["Location"]).context["cl"].filters == {"q": "stage", "status": "failed"}


def test_it_stands_above_the_list_and_is_marked_where_it_is_shown(page: Client) -> None:
    save(page)
    (view,) = page.get(f"{LIST}?{WORDS}").context["views"]
    assert (view["name"], view["current"]) == ("No stage", True)


def test_the_order_of_a_small_list_is_saved_with_it(page: Client) -> None:
    page.post("/admin/jobs/queue/views/", {"name": "By name", "words": "status=active&o=-1"})
    assert SavedView.objects.get().words == {"status": "active", "o": "-1"}


def test_a_page_of_a_list_is_not_saved_with_it(page: Client) -> None:
    save(page, words=f"{WORDS}&older_than=0192f0c1-2b3c-7def-8a90-0123456789ab")
    assert set(SavedView.objects.get().words) == {"status", "q"}


def test_a_view_is_its_makers_until_it_is_shared(page: Client, other: Client) -> None:
    save(page, "Mine")
    save(page, "Ours", shared="on")
    assert (shown(page), shown(other)) == (["Mine", "Ours"], ["Ours"])


def test_a_view_belongs_to_its_own_list(page: Client) -> None:
    save(page)
    assert page.get("/admin/deadletters/deadletter/").context["views"] == []


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\0b", "two\u202elines"])
def test_a_bad_name_is_refused_with_a_sentence(page: Client, name: str) -> None:
    answer = save(page, name)
    assert (answer.status_code, SavedView.objects.count()) == (422, 0)
    assert "Name: " in answer.content.decode()


def test_a_name_is_used_once(page: Client) -> None:
    save(page)
    assert "You have a view called no STAGE already." in save(page, "no STAGE").content.decode()
    assert SavedView.objects.count() == 1


@pytest.mark.parametrize(
    ("words", "status"), [("colour=red", 400), ("status=lost", 400), ("o=drop table", 422), ("o=" + "1." * 40, 422)]
)
def test_a_filter_that_nothing_knows_is_refused(page: Client, words: str, status: int) -> None:
    assert save(page, words=words).status_code == status
    assert not SavedView.objects.exists()


def test_who_made_it_renames_and_deletes_it(page: Client) -> None:
    save(page)
    key = str(SavedView.objects.get().pk)
    page.post(f"{LIST}views/", {"id": key, "do": "rename", "name": "Stage is missing", "shared": "on"})
    assert SavedView.objects.values_list("name", "shared").get() == ("Stage is missing", True)
    page.post(f"{LIST}views/", {"id": key, "do": "delete"})
    assert not SavedView.objects.exists()


@pytest.mark.parametrize("do", ["rename", "delete"])
def test_nobody_else_changes_it(page: Client, other: Client, do: str) -> None:
    save(page, shared="on")
    key = str(SavedView.objects.get().pk)
    assert other.post(f"{LIST}views/", {"id": key, "do": do, "name": "Mine now"}).status_code == 404
    assert SavedView.objects.get().name == "No stage"


@pytest.mark.parametrize("key", ["nonsense", "0192f0c1-2b3c-7def-8a90-0123456789ab"])
def test_a_view_that_is_not_there_is_refused(page: Client, key: str) -> None:
    assert page.post(f"{LIST}views/", {"id": key, "do": "delete"}).status_code == 404


def test_who_may_not_see_the_list_sees_no_views(client: Client, caio: User) -> None:
    client.force_login(caio)
    assert client.get(f"{LIST}views/").status_code == 403
    assert save(client).status_code == 403


def test_the_page_of_the_views_says_whose_they_are(page: Client, other: Client) -> None:
    save(page, shared="on")
    assert "by ana" in other.get(f"{LIST}views/").content.decode()
    assert "yours, for everybody" in page.get(f"{LIST}views/").content.decode()


def test_no_more_than_a_hundred_are_kept(page: Client, ana: User) -> None:
    kind = "operations.pendingoperation"
    SavedView.objects.bulk_create(SavedView(kind=kind, owner=ana, name=f"View {number}") for number in range(100))
    assert "100 views of this list already" in save(page).content.decode()


def test_the_list_asks_once_for_its_views(page: Client) -> None:
    page.get(LIST)
    with CaptureQueriesContext(connection) as few:
        page.get(LIST)
    for number in range(5):
        save(page, f"View {number}")
    page.get(LIST)  # the messages
    with CaptureQueriesContext(connection) as many:
        page.get(LIST)
    assert len(many) == len(few)
