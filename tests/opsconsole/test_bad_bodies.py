"""Bodies that must be refused with a sentence, and never with a 500 (S09)."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api import Api, problem
from tests.cast import Company

pytestmark = pytest.mark.django_db
PATH = "/api/pending-operations"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "nested"),
        (b"[" * 60 + b"]" * 60, "nested"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "digits"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": "\\u0000"}', "NUL"),
        (b'{"\\u0000": 1}', "NUL"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b"\xff\xfe{\x00}\x00", "UTF-8"),
        (b"{", "line 1"),
        (b"title=x", "not JSON"),
    ],
)
def test_a_body_that_cannot_be_kept_is_refused_with_a_sentence(ana_api: Api, body: bytes, said: str) -> None:
    assert said in problem(ana_api.post_raw(PATH, body), 400)["detail"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
def test_a_body_that_does_not_say_it_is_json_is_refused(ana_api: Api, kind: str) -> None:
    assert "Content-Type: application/json" in problem(ana_api.post_raw(PATH, b"{}", kind), 415)["detail"]


def test_a_body_that_is_too_large_is_refused(ana_api: Api) -> None:
    problem(ana_api.post_raw(PATH, b'{"a": "' + b"x" * (6 * 1024 * 1024) + b'"}'), 413)


def test_a_body_in_chunks_is_not_taken_for_none(ana_api: Api) -> None:
    answer = ana_api.generic("POST", PATH, b"", headers={"Transfer-Encoding": "chunked"})
    assert "Content-Length" in problem(answer, 411)["detail"]


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"x"', b"7", b"{}"])
def test_json_of_another_shape_is_misfilled(ana_api: Api, body: bytes) -> None:
    assert problem(ana_api.post_raw(PATH, body), 422)["errors"]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda of: st.lists(of) | st.dictionaries(st.text(), of),
)


@given(body=st.binary() | anything.map(lambda value: json.dumps(value).encode()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@pytest.mark.parametrize("path", [PATH, f"{PATH}/bulk", f"{PATH}/retry", "/api/queues/pause"])
def test_nothing_that_is_sent_makes_a_500(ana_api: Api, path: str, body: bytes) -> None:
    assert ana_api.post_raw(path, body).status_code < 500


@given(payload=st.dictionaries(st.text(), anything))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_any_payload_is_taken_in_as_it_is_or_refused(
    ana_api: Api, empty_company: Company, payload: dict[str, object]
) -> None:
    body = json.dumps({"operation_type": "http.post", "payload": payload}).encode()
    answer = ana_api.post_raw(PATH, body)
    assert answer.status_code in (202, 400, 422)
