import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from apps.actions.binding import binding
from apps.integrations.traces import within
from apps.jobs.phones import digest
from opsconsole import log_lines
from opsconsole.gathering import Gathering
from opsconsole.log_lines import Gathered, Json, KeptLines, Readable, bound, configuration, line_of
from tests.jobs.lines import Taker

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def record(
    text: str, *values: Any, level: int = logging.INFO, name: str = "apps.test", **given: Any
) -> logging.LogRecord:
    made = logging.getLogger(name).makeRecord(name, level, "test.py", 1, text, values, None, extra=given)
    return made


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
def handler(taker: Taker) -> Iterator[KeptLines]:
    handler = KeptLines({"apps": "INFO", "apps.noisy": "ERROR", "*": "WARNING"}, taker)
    yield handler
    handler.close()


def test_a_line_carries_what_is_bound_where_it_is_said() -> None:
    with within(
        TRACE, kind="operations.pendingoperation", object_id="0192f0c1-2b3c-7def-8a90-0123456789ab", request_id="r1"
    ):
        line = line_of(record("completed", service="piperun"))
    assert (line.trace, line.kind, line.service) == (TRACE[3:35], "operations.pendingoperation", "piperun")
    assert (str(line.object_id)[:8], line.fields) == ("0192f0c1", {"request_id": "r1"})


def test_what_is_given_with_a_line_wins_over_what_is_bound() -> None:
    with binding(service="erp"):
        assert line_of(record("x", service="piperun")).service == "piperun"


def test_nothing_is_bound_after_the_work_is_done() -> None:
    with within(TRACE):
        pass
    assert line_of(record("x")).trace == ""


def test_the_run_of_a_job_is_found_by_its_id() -> None:
    line = line_of(record("x", run_id="0192f0c1-2b3c-7def-8a90-0123456789ab"))
    assert str(line.job_run) == "0192f0c1-2b3c-7def-8a90-0123456789ab"


@pytest.mark.parametrize(
    "secret", ["ana.souza@example.com", "5511912345678", "529.982.247-25", "s3cr3t-value", "eyJhbGciOi.J9.abc"]
)
def test_secrets_and_people_are_in_no_part_of_a_line(secret: str) -> None:
    try:
        raise ValueError(f"token={secret}" if secret.startswith(("s3", "ey")) else f"of {secret}")
    except ValueError:
        made = record("said %s", f"password={secret}", reason=f"token: {secret}", api_key=secret)
        made.exc_info = sys.exc_info()
    written = [Json().format(made), Readable().format(made)]
    assert [text for text in written if secret in text] == []


@given(
    st.from_regex(r"[1-9][1-9]9[6-9][0-9]{7}", fullmatch=True), st.sampled_from(["", "55", "+55"]), st.text(max_size=40)
)
def test_no_phone_is_written_and_each_is_found_by_its_digest(phone: str, country: str, around: str) -> None:
    line = line_of(record("%s (%s%s) %s", around, country, phone, around))
    assert country + phone not in Json().format(record("(%s%s)", country, phone))
    assert digest(phone) in [digest(each) for each in line.phones]


@given(
    st.dictionaries(
        st.text(max_size=20),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text() | st.binary(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=30,
        ),
    )
)
def test_any_values_are_kept_bounded_and_as_json(values: dict[str, Any]) -> None:
    kept = json.dumps(bound(values), ensure_ascii=False)
    assert len(kept) <= 2 * log_lines.LONGEST_FIELDS + 20


@given(st.text())
def test_any_text_can_be_stored(text: str) -> None:
    line = line_of(record("%s", text))
    assert "\x00" not in line.text
    line.text.encode()
    assert len(line.text) <= log_lines.LONGEST_TEXT


def test_values_that_lead_to_themselves_break_nothing() -> None:
    values: dict[str, Any] = {"a": 1}
    values["self"] = values
    assert "a" in str(line_of(record("x", values=values)).fields)


def test_words_that_do_not_fit_their_values_are_still_written() -> None:
    assert line_of(record("%s and %s", "one")).text == "%s and %s ('one',)"


def test_production_writes_a_line_of_json() -> None:
    told = json.loads(Json().format(record("taken in", service="piperun", status=201)))
    assert told["event"] == "taken in"
    assert (told["level"], told["logger"], told["service"], told["status"]) == ("info", "apps.test", "piperun", 201)


def test_development_writes_what_people_read() -> None:
    written = Readable().format(record("taken in", service="piperun"))
    assert "taken in" in written
    assert "service=piperun" in written


@pytest.mark.parametrize(
    ("logger", "level", "kept"),
    [
        ("apps.operations", logging.INFO, True),
        ("apps.operations", logging.DEBUG, False),
        ("apps.noisy.part", logging.WARNING, False),
        ("django.db", logging.INFO, False),
        ("django.db", logging.WARNING, True),
    ],
)
def test_what_is_kept_is_said_by_logger_and_level(
    handler: KeptLines, taker: Taker, logger: str, level: int, kept: bool
) -> None:
    handler.handle(record("x", name=logger, level=level))
    assert bool(taker.taken) == kept


def test_a_handler_that_breaks_breaks_nobody(handler: KeptLines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    monkeypatch.setattr(log_lines, "line_of", lambda _record: 1 / 0)
    handler.handle(record("x"))


@pytest.fixture
def gathered(handler: KeptLines) -> Gathered:
    """The same handler behind one that hands on later."""
    return Gathered([handler], Gathering())


def test_a_line_that_waits_says_what_was_bound_and_given_when_it_was_said(gathered: Gathered, taker: Taker) -> None:
    given = ["before"]
    with binding(service="erp"):
        gathered.handle(record("%s", given))
    given[0] = "after"
    gathered.work.flush()
    assert [(line.text, line.service) for line in taker.taken] == [("['before']", "erp")]


def test_a_warning_waits_for_nothing_and_comes_after_what_was_said_before(gathered: Gathered, taker: Taker) -> None:
    gathered.handle(record("first"))
    gathered.handle(record("second", level=logging.WARNING))
    assert [line.text for line in taker.taken] == ["first", "second"]


def test_a_line_is_handed_on_only_to_whom_its_level_concerns(gathered: Gathered, taker: Taker) -> None:
    gathered.handlers[0].setLevel(logging.ERROR)
    gathered.handle(record("x", level=logging.WARNING))
    assert taker.taken == []


def test_a_level_that_is_none_is_said_in_a_sentence() -> None:
    with pytest.raises(ImproperlyConfigured, match="apps=LOUD names no level"):
        KeptLines({"apps": "LOUD"})


def test_without_levels_nothing_is_kept() -> None:
    assert "kept" not in configuration(production=True, kept={})["handlers"]
