import datetime as dt
import re
from uuid import UUID, uuid4

import pytest
from django.db import connection
from uuid6 import uuid7

from apps.actions.verbs import UnknownFilter
from apps.jobs.log_search import SLACK, matching, older_than, patterns
from apps.jobs.phones import digest
from tests.jobs.aged import purge
from tests.jobs.lines import said

pytestmark = pytest.mark.django_db


def texts(**words: str) -> list[str]:
    return [line.text for line in matching(words)]


def test_the_newest_line_comes_first() -> None:
    said("first")
    said("second")
    assert texts() == ["second", "first"]


@pytest.mark.parametrize(("level", "found"), [("error", ["e"]), ("warning", ["e", "w"]), ("INFO", ["e", "w", "i"])])
def test_a_level_is_that_and_graver(level: str, found: list[str]) -> None:
    for number, text in ((20, "i"), (30, "w"), (40, "e")):
        said(text, level=number)
    assert texts(level=level) == found


@pytest.mark.parametrize("written", ["5511999998888", "+55 11 99999-8888", "1199998888"])
def test_a_phone_is_found_however_it_is_written(written: str) -> None:
    said("of hers", phones=[digest("11999998888")])
    said("of his", phones=[digest("11999997777")])
    assert texts(phone=written) == ["of hers"]


def test_a_text_is_found_in_capitals_or_not_and_as_one_or_the_other() -> None:
    for text in ("Operation FAILED", "An Error occurred", "all went well"):
        said(text)
    assert texts(q="error|failed") == ["An Error occurred", "Operation FAILED"]
    assert texts(q="went well") == ["all went well"]


def test_signs_of_a_pattern_stand_for_themselves() -> None:
    said("100% done")
    said("1000 done")
    assert texts(q="100% d") == ["100% done"]


@pytest.mark.parametrize("word", ["operation", "event", "object", "run"])
def test_lines_of_a_row_are_found_by_its_id(word: str) -> None:
    key = uuid4()
    said("its own", **({"job_run": key} if word == "run" else {"object_id": key}))
    said("another's")
    assert texts(**{word: str(key)}) == ["its own"]


def test_a_whole_traceparent_is_taken_for_its_id() -> None:
    said("of the request", trace="4bf92f3577b34da6a3ce929d0e0e4736")
    assert texts(trace="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") == ["of the request"]


def test_hours_since_and_before_bound_the_time() -> None:
    now = dt.datetime.now(dt.UTC)
    for hours in (1, 3, 30):
        said(f"{hours} h", at=now - dt.timedelta(hours=hours))
    since, before = ((now - dt.timedelta(hours=hours)).isoformat() for hours in (10, 2))
    assert texts(hours="2") == ["1 h"]
    assert texts(since=since, before=before) == ["3 h"]


@pytest.mark.parametrize(
    ("word", "value", "why"),
    [
        ("level", "eror", "did you mean error?"),
        ("q", "ab", "at least 3 characters"),
        ("q", "error|", "at least 3 characters"),
        ("phone", "12", "area code"),
        ("run", "17", "takes an id"),
        ("hours", "many", "takes a number"),
        ("hours", "-1", "takes a number"),
        ("hours", "nan", "takes a number"),
        ("pattern", "xyz", "is no pattern"),
        ("since", "yesterday", "takes a day or a moment"),
        ("servce", "crm", "did you mean service?"),
    ],
)
def test_a_word_that_cannot_be_read_is_refused_in_a_sentence(word: str, value: str, why: str) -> None:
    with pytest.raises(UnknownFilter, match=why.replace("?", r"\?")):
        matching({word: value})


def test_the_page_behind_goes_on_where_the_last_one_ended() -> None:
    lines = [said(str(number)) for number in range(5)]
    assert [line.text for line in older_than(matching({}), lines[3].pk)] == ["2", "1", "0"]


def test_lines_that_differ_in_numbers_are_one_pattern_and_counted() -> None:
    for number in (17, 99, 3):
        said(f"Operation {number} failed after {number} ms", level=40)
    said("Something else", level=40)
    first, second = patterns({"level": "error"})
    assert (first.count, first.text, first.level_word) == (3, "Operation <n> failed after <n> ms", "error")
    assert (second.count, second.text) == (1, "Something else")
    assert len(texts(pattern=first.pattern)) == 3


def test_patterns_are_of_a_day_where_nobody_says_otherwise() -> None:
    said("old", at=dt.datetime.now(dt.UTC) - dt.timedelta(hours=30))
    said("new")
    assert [each.text for each in patterns({})] == ["new"]
    assert len(patterns({"hours": "48"})) == 2


def test_a_line_of_a_foreign_clock_is_found_too() -> None:
    said("from 1999", at=dt.datetime(1999, 1, 1, tzinfo=dt.UTC))
    assert texts(q="from 1999") == ["from 1999"]


def test_a_page_looks_only_at_the_parts_it_needs() -> None:
    key = UUID(int=uuid7().int)
    plan = older_than(matching({"hours": "2"}), key).explain()
    now = dt.datetime.now(dt.UTC)
    days = {f"{moment:%Y%m%d}" for moment in (now - dt.timedelta(hours=3), now, now + SLACK)}
    parts = set(re.findall(r"on jobs_logline_(\d{8})", plan))
    assert parts
    assert parts <= days


def test_lines_of_the_log_leave_by_the_day() -> None:
    for days in (40, 31.5, 1):
        said(f"{days}", at=dt.datetime.now(dt.UTC) - dt.timedelta(days=days))
    midnight = (dt.datetime.now(dt.UTC) - dt.timedelta(days=33)).date()
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE jobs_logline_past PARTITION OF jobs_logline"
            f" FOR VALUES FROM ('{midnight}') TO ('{midnight + dt.timedelta(days=1)}')"
        )
    within = dt.datetime.combine(midnight, dt.time(12), dt.UTC)
    said("of the old part", at=within)
    purge("log-lines")
    assert texts() == ["1"]
    assert "jobs_logline_past" not in connection.introspection.table_names()
