from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from apps.deadletters.failures import FailureClass
from apps.integrations.connectors.answers import by_status, json_of, retry_after
from tests.contracts.connectors import answer

NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("0", 1), ("-5", 1), ("1", 1), ("30", 30), ("1.5", 1.5), (" 7 ", 7), ("1000000000", 3600),
        ("", None), ("soon", None), ("1e9", None), ("nan", None), ("9" * 400, None), ("30 seconds", None),
        ("Tue, 20 Jan 2026 12:00:30 GMT", 30), ("Tue, 20 Jan 2026 11:00:00 GMT", 1),
        ("Tue, 20 Jan 2099 12:00:00 GMT", 3600), ("Tue, 99 Jan 2026 12:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_and_clamped(said: str, seconds: float | None) -> None:
    assert retry_after(answer(429, Retry_After=said, Date=format_datetime(NOON, usegmt=True))) == seconds


def test_a_date_without_the_far_ends_clock_is_reckoned_by_ours() -> None:
    soon = datetime.now(UTC) + timedelta(minutes=10)
    waits = retry_after(answer(503, Retry_After=format_datetime(soon, usegmt=True)))
    assert waits is not None
    assert 540 < waits <= 600


def test_milliseconds_bodies_and_words_are_read_as_well() -> None:
    assert retry_after(answer(429, retry_after_ms="2500")) == 2.5
    assert retry_after(answer(429, {"retry_after": 12})) == 12
    assert retry_after(answer(429, {"faultstring": "ERROR: Aguarde 16 segundos"})) == 16


@pytest.mark.parametrize("status", [402, 410, 413, 418, 423, 451])
def test_other_refusals_are_permanent(status: int) -> None:
    assert by_status(answer(status), False).failure_class == FailureClass.PERMANENT_DATA


def test_an_unheard_of_failure_may_have_taken_effect() -> None:
    assert by_status(answer(599), True).failure_class == FailureClass.UNKNOWN
    assert by_status(answer(599), False).failure_class == FailureClass.AMBIGUOUS


def test_a_message_is_one_bounded_line() -> None:
    assert by_status(answer(400, "line\n" * 1000), True).message.count("line") == 40


def test_json_loses_what_postgresql_cannot_keep() -> None:
    body = json_of(answer(200, r'{"a": "\u0000", "\ud800": ["\ud83d\ude00"]}'))
    assert body == {"a": "\ufffd", "\ufffd": ["😀"]}
