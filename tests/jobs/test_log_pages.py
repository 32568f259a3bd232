import re
import time
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.jobs.phones import digest
from tests.api import Api
from tests.cast import Company
from tests.jobs.lines import said

PAGE, PATTERNS = "/admin/jobs/logline/", "/admin/jobs/logline/patterns/"


@pytest.fixture
def page(client: Client, bia: User) -> Client:
    client.force_login(bia)
    return client


def shown(page: Client, words: str = "") -> list[str]:
    return [each["line"].text for each in page.get(f"{PAGE}?{words}").context["lines"]]


def test_the_last_lines_stand_first(page: Client) -> None:
    said("first")
    said("second", level=40)
    assert shown(page) == ["second", "first"]
    assert shown(page, "level=error&hours=4") == ["second"]


def test_a_viewer_may_read_the_log_and_a_stranger_to_it_may_not(page: Client, caio: User) -> None:
    assert page.get(PAGE).status_code == 200
    page.force_login(caio)
    assert [page.get(path).status_code for path in (PAGE, PATTERNS)] == [403, 403]


def test_a_word_that_cannot_be_read_is_refused_on_the_page(page: Client) -> None:
    for path in (PAGE, PATTERNS):
        answer = page.get(f"{path}?level=eror")
        assert (answer.status_code, "did you mean error?" in answer.content.decode()) == (422, True)


def test_lines_are_paged_by_key(page: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.jobs.admin.logs.LINES", 2)
    for number in range(5):
        said(str(number))
    first = page.get(f"{PAGE}?logger=apps.test").context
    second = page.get(PAGE + first["next"]).context
    assert [each["line"].text for each in second["lines"]] == ["2", "1"]
    assert "logger=apps.test" in second["next"]


def test_the_tail_answers_nothing_where_nothing_is_new(page: Client) -> None:
    newest = said("last")
    htmx = {"HX-Request": "true"}
    assert page.get(f"{PAGE}?after={newest.pk}", headers=htmx).status_code == 204
    said("newer")
    answer = page.get(f"{PAGE}?after={newest.pk}", headers=htmx)
    assert "newer" in answer.content.decode()
    assert "<html" not in answer.content.decode()


def test_an_older_page_stands_still(page: Client) -> None:
    said("older")
    newest = said("newest")
    assert "hx-get" in page.get(PAGE).content.decode().partition('id="log-live"')[2][:80]
    assert (
        "hx-get" not in page.get(f"{PAGE}?older_than={newest.pk}").content.decode().partition('id="log-live"')[2][:80]
    )


def test_a_line_links_to_its_row_and_to_all_of_its_request(page: Client, company: Company) -> None:
    operation = company.operations["failed"][0]
    said("failed", kind="operations.pendingoperation", object_id=operation.pk, trace="a" * 32)
    html = page.get(PAGE).content.decode()
    assert f"/admin/operations/pendingoperation/{operation.pk}/change/" in html
    assert f"?trace={'a' * 32}" in html


def test_a_row_links_to_its_lines(page: Client, company: Company) -> None:
    operation = company.operations["failed"][0]
    html = page.get(f"/admin/operations/pendingoperation/{operation.pk}/change/").content.decode()
    assert f"{PAGE}?object={operation.pk}" in html


def test_who_may_not_read_the_log_is_shown_no_way_to_it(client: Client, company: Company, bia: User) -> None:
    group = bia.groups.get()
    group.permissions.remove(group.permissions.get(codename="read_logs"))
    client.force_login(bia)
    html = client.get(
        f"/admin/operations/pendingoperation/{company.operations['failed'][0].pk}/change/"
    ).content.decode()
    assert PAGE not in html


def test_what_a_line_says_is_text_and_no_markup(page: Client) -> None:
    said("<script>alert(1)</script>", fields={"<b>": "<i>"}, traceback="<img src=x>")
    html = page.get(PAGE).content.decode()
    assert re.findall(r"<script>alert|<i>|<img src=x", html) == []


def test_a_page_of_lines_keeps_its_number_of_queries(page: Client) -> None:
    said()
    page.get(PAGE)
    with CaptureQueriesContext(connection) as few:
        page.get(PAGE)
    for number in range(80):
        said(str(number), kind="operations.pendingoperation", object_id=uuid4(), job_run=uuid4())
    with CaptureQueriesContext(connection) as many:
        page.get(PAGE)
    assert len(many) == len(few) <= 12


def test_patterns_lead_to_their_lines(page: Client) -> None:
    for number in range(3):
        said(f"Operation {number} failed", level=40)
    [row] = page.get(f"{PATTERNS}?level=error").context["rows"]
    assert row["pattern"].count == 3
    assert len(page.get(row["url"]).context["lines"]) == 3


# Over the API


def test_the_api_answers_with_the_same_words(ana_api: Api) -> None:
    said("of hers", level=40, phones=[digest("11999998888")], fields={"status": 503})
    said("of his", level=40)
    [line] = ana_api.get("/api/logs?phone=5511999998888&level=warning").json()["items"]
    assert (line["text"], line["level"], line["fields"]) == ("of hers", "error", {"status": 503})


def test_the_api_is_paged(ana_api: Api) -> None:
    for number in range(5):
        said(str(number))
    first = ana_api.get("/api/logs?limit=2&logger=apps.test").json()
    second = ana_api.get(first["next"]).json()
    assert [line["text"] for line in second["items"]] == ["2", "1"]


def test_the_api_counts_patterns(ana_api: Api) -> None:
    for number in range(3):
        said(f"Operation {number} failed", level=40)
    [pattern] = ana_api.get("/api/logs/patterns?level=error").json()["items"]
    assert (pattern["count"], pattern["level"], pattern["text"]) == (3, "error", "Operation <n> failed")


@pytest.mark.parametrize("words", ["level=eror", "servce=crm", "hours=0", "limit=0", "after=17"])
def test_the_api_refuses_what_it_cannot_read(ana_api: Api, words: str) -> None:
    answer = ana_api.get(f"/api/logs?{words}")
    assert answer.status_code in (400, 422)
    assert answer.json()["detail"]


# On the command line


def test_the_command_shows_the_last_lines_in_their_order(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("first", "second", "third"):
        said(text, service="piperun")
    call_command("logs", limit=2)
    out = capsys.readouterr().out.splitlines()
    assert [line.partition("apps.test: ")[2] for line in out] == ["second [piperun]", "third [piperun]"]


def test_the_command_takes_what_grep_took(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    said("process_message failed", level=40, phones=[digest("11999998888")])
    said("all went well", phones=[digest("11999998888")])
    call_command("logs", "error|failed", "--errors", "--phone", "5511999998888", "--hours", "24")
    assert capsys.readouterr().out.count("\n") == 1


def test_the_command_counts_patterns(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        said(f"Operation {number} failed", level=40)
    call_command("logs", "--patterns")
    assert "       3  error" in capsys.readouterr().out


def test_the_command_follows_and_misses_no_line_that_came_late(
    db: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    late = said("late")
    late.delete()
    said("before")
    looks: list[Callable[[], object]] = [lambda: said("after"), lambda: late.save(force_insert=True)]

    def sleep(_seconds: float) -> None:
        if not looks:
            raise KeyboardInterrupt
        looks.pop(0)()

    monkeypatch.setattr(time, "sleep", sleep)
    call_command("logs", "--follow")
    assert [line.rpartition(" ")[2] for line in capsys.readouterr().out.splitlines()] == ["before", "after", "late"]


def test_the_command_refuses_in_a_sentence(db: None) -> None:
    with pytest.raises(CommandError, match="area code"):
        call_command("logs", "--phone", "12")
