import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.actions.actors import Actor
from apps.actions.models import ActionRun
from apps.actions.running import Pace, run
from apps.actions.selections import Selection
from apps.operations.models import PendingOperation
from tests.cast import Company

LIST = "/admin/actions/actionrun/"


@pytest.fixture
def page(client: Client, ana: User) -> Client:
    client.force_login(ana)
    return client


@pytest.fixture
def paced(company: Company, as_ana: Actor) -> ActionRun:
    """A canaried retry of all failed, which waits for a worker."""
    return run(PendingOperation.retry, Selection.matching(PendingOperation, {"status": "failed"}), as_ana, pace=Pace())


@pytest.fixture
def done(company: Company, as_ana: Actor) -> ActionRun:
    """A reset of one row that may and one that may not."""
    rows = [company.operations["failed"][0].pk, company.operations["completed"][0].pk]
    return run(PendingOperation.reset, Selection.ticked(PendingOperation, rows), as_ana, given={"note": "mended"})


def test_history_says_who_asked_what_and_what_came_of_it(page: Client, done: ActionRun) -> None:
    text = page.get(LIST).content.decode()
    assert "Reset: 2 ticked rows of pending operations" in text
    assert "1 of 2" in text


def test_a_run_shows_its_rows_and_the_refused_with_their_sentence(page: Client, done: ActionRun) -> None:
    answer = page.get(done.get_absolute_url())
    (item,) = answer.context["items"]
    assert (item["moved"], answer.context["run"].refused) == ("failed → pending", 1)
    assert "is completed; reset needs failed." in answer.content.decode()


def test_a_run_s_moving_part_is_asked_for_alone(page: Client, paced: ActionRun) -> None:
    text = page.get(paced.get_absolute_url(), headers={"HX-Request": "true", "HX-Target": "run-live"}).content.decode()
    assert 'id="run-live"' in text
    assert "<html" not in text


def test_a_run_that_is_over_asks_no_more(page: Client, paced: ActionRun, done: ActionRun) -> None:
    ActionRun.objects.filter(pk=done.pk).update(status="finished")
    assert "every 2s" in page.get(paced.get_absolute_url()).content.decode()
    assert "every 2s" not in page.get(done.get_absolute_url()).content.decode()


def test_a_run_is_paused_and_resumed_from_its_page(page: Client, paced: ActionRun) -> None:
    for name, status in (("pause", "paused"), ("resume", "queued")):
        controls = {verb["name"]: verb for verb in page.get(paced.get_absolute_url()).context["controls"]}
        page.post(controls[name]["url"], {**dict(controls[name]["fields"]), "confirm": "yes"})
        paced.refresh_from_db()
        assert paced.status == status


def test_to_cancel_a_run_asks_again_and_then_ends_it(page: Client, paced: ActionRun) -> None:
    url = f"{LIST}verbs/cancel/?id={paced.pk}"
    assert page.post(url).status_code == 200
    page.post(url, {"confirm": "yes", "back": paced.get_absolute_url()})
    paced.refresh_from_db()
    assert paced.status == "cancelled"


def test_a_canary_shows_its_stages(page: Client, paced: ActionRun) -> None:
    stages = page.get(paced.get_absolute_url()).context["stages"]
    assert [(stage["size"], stage["status"]) for stage in stages][:2] == [(1, "queued"), (10, "")]


def test_the_second_click_leads_to_the_open_run(page: Client, paced: ActionRun) -> None:
    url = "/admin/operations/pendingoperation/verbs/retry/?status=failed"
    answer = page.post(url, {"confirm": "yes", "pace": "canary", "key": "another"})
    assert answer["Location"] == paced.get_absolute_url()


def test_history_keeps_its_number_of_queries(page: Client, company: Company, as_ana: Actor) -> None:
    page.get(LIST)
    with CaptureQueriesContext(connection) as few:
        page.get(LIST)
    for operation in company.operations["completed"]:
        run(PendingOperation.confirm, Selection.ticked(PendingOperation, [operation.pk]), as_ana)
    with CaptureQueriesContext(connection) as many:
        page.get(LIST)
    assert len(many) == len(few) <= 15


def test_a_row_s_history_stands_on_a_page_of_its_own(page: Client, company: Company, done: ActionRun) -> None:
    key = company.operations["failed"][0].pk
    text = page.get(f"/admin/operations/pendingoperation/{key}/history/").content.decode()
    assert "mended" in text
