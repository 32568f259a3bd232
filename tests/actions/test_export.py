"""Lists taken away as files: the ticked rows or all that match, masked, and with no formula in them."""

import csv
import json
from io import BytesIO, StringIO
from typing import Any

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from openpyxl import load_workbook

from apps.actions import exporting
from apps.actions.exporting import defused
from apps.actions.verbs import Acted, nouns
from apps.integrations.models import ApiKey
from apps.operations.models import PendingOperation
from tests.cast import Company

LIST = "/admin/operations/pendingoperation/"
KINDS = ["csv", "xlsx"]
HOSTILE = "=HYPERLINK(\"http://evil.example.com\",\"x\")"  # fmt: skip

each_kind = pytest.mark.parametrize("kind", KINDS)


def table(answer: Any, kind: str) -> list[dict[str, Any]]:
    """Return the rows of a file, as a spreadsheet reads it."""
    assert answer.status_code == 200
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    if kind == "csv":
        return list(csv.DictReader(StringIO(content.decode("utf-8-sig"))))
    names, *rows = load_workbook(BytesIO(content)).active.values
    return [dict(zip(names, ("" if cell is None else cell for cell in row), strict=True)) for row in rows]


@pytest.fixture
def as_viewer(client: Client, bia: User) -> Client:
    client.force_login(bia)
    return client


@each_kind
def test_all_that_match_are_taken_away_newest_first(as_viewer: Client, company: Company, kind: str) -> None:
    rows = table(as_viewer.get(f"{LIST}export.{kind}?status=failed&service=piperun"), kind)
    expected = PendingOperation.objects.filter(status="failed", archived_at=None).order_by("-id")
    assert [row["id"] for row in rows] == [str(operation.pk) for operation in expected]
    assert {(row["status"], row["service"]) for row in rows} == {("failed", "piperun")}


@each_kind
def test_ticked_rows_are_taken_away_alone(as_viewer: Client, company: Company, kind: str) -> None:
    keys = [str(operation.pk) for operation in company.operations["completed"]]
    ticked = as_viewer.post(f"{LIST}export.{kind}?status=failed", {ACTION_CHECKBOX_NAME: keys})
    assert {row["id"] for row in table(ticked, kind)} == {*keys}
    linked = as_viewer.get(f"{LIST}export.{kind}?id={keys[0]}")
    assert [row["id"] for row in table(linked, kind)] == keys[:1]


@each_kind
def test_no_cell_begins_a_formula(as_viewer: Client, company: Company, kind: str) -> None:
    company.operation(entity_id=HOSTILE, entity_type="-1+1", source="\uff1d1")
    row = table(as_viewer.get(f"{LIST}export.{kind}"), kind)[0]
    assert (row["entity_id"], row["entity_type"], row["source"]) == (f"'{HOSTILE}", "'-1+1", "'\uff1d1")


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n1", " =1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201"]
)
def test_what_would_begin_a_formula_is_defused(text: str) -> None:
    assert defused(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "1", "a=1", "deal.create", "2026-01-01", "'=1"])
def test_what_begins_none_stays_as_it_is(text: str) -> None:
    assert defused(text) == text


@each_kind
def test_payloads_and_errors_are_masked(as_viewer: Client, company: Company, kind: str) -> None:
    told = {"email": "ana@example.com", "api_token": "abc", "title": "Café, \"two\"\nlines"}  # fmt: skip
    company.operation(payload=told, last_error="refused ana@example.com")
    row = table(as_viewer.get(f"{LIST}export.{kind}"), kind)[0]
    assert "ana@example.com" not in row["payload"] + row["last_error"]
    assert "abc" not in row["payload"]
    assert json.loads(row["payload"])["title"] == told["title"]


@each_kind
def test_numbers_stay_numbers_and_long_or_strange_texts_are_fitted(
    as_viewer: Client, company: Company, kind: str
) -> None:
    company.operation(attempts=3, last_error="x" * 40_000, source="a\x01b")
    row = table(as_viewer.get(f"{LIST}export.{kind}"), kind)[0]
    assert row["attempts"] == {"csv": "3", "xlsx": 3}[kind]
    assert (len(row["last_error"]), row["source"]) == (32_001, "a\ufffdb")


@each_kind
def test_columns_of_the_machinery_and_digests_stay_here(as_viewer: Client, db: None, kind: str) -> None:
    key = ApiKey.objects.create(name="site", prefix="ops_1234", digest="d" * 64, group=Group.objects.get(name="Viewer"))
    [row] = table(as_viewer.get(f"/admin/integrations/apikey/export.{kind}"), kind)
    assert row["name"] == key.name
    assert "digest" not in row


@each_kind
def test_more_rows_than_a_file_takes_are_refused_in_a_sentence(
    as_viewer: Client, company: Company, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "AT_MOST", 3)
    answer = as_viewer.get(f"{LIST}export.{kind}")
    assert answer.status_code == 422
    assert "More than 3 rows match, and a file takes at most so many." in answer.content.decode()


@each_kind
def test_many_rows_are_walked_page_by_page(
    as_viewer: Client, company: Company, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PAGE", 10)
    made = {str(operation.pk) for operation in company.operations_of(40, source="many")}
    with CaptureQueriesContext(connection) as asked:
        rows = table(as_viewer.get(f"{LIST}export.{kind}?type=deal.create&status=pending"), kind)
    assert made <= {row["id"] for row in rows}
    assert len(rows) == len({row["id"] for row in rows})
    assert len(asked) <= 15


@each_kind
@pytest.mark.parametrize(("words", "status"), [("statos=failed", 400), ("since=yesterdy", 400), ("id=x", 422)])
def test_what_cannot_be_read_is_refused(
    as_viewer: Client, company: Company, kind: str, words: str, status: int
) -> None:
    assert as_viewer.get(f"{LIST}export.{kind}?{words}").status_code == status


@each_kind
def test_who_may_not_see_the_rows_takes_none_away(client: Client, caio: User, company: Company, kind: str) -> None:
    client.force_login(caio)
    assert client.get(f"{LIST}export.{kind}").status_code == 403


@each_kind
@pytest.mark.parametrize("noun", nouns(), ids=lambda noun: noun._meta.label_lower)
def test_every_noun_can_be_taken_away(admin_client: Client, company: Company, noun: type[Acted], kind: str) -> None:
    address = f"/admin/{noun._meta.app_label}/{noun._meta.model_name}/export.{kind}"
    rows = table(admin_client.get(address), kind)
    assert len(rows) == noun._default_manager.filter(noun.live_rows).count()


def test_the_list_offers_both_files_for_what_it_shows(as_viewer: Client, company: Company) -> None:
    page = as_viewer.get(f"{LIST}?status=failed").content.decode()
    for kind in KINDS:
        assert f'formaction="{LIST}export.{kind}?status=failed"' in page
