import json
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.template import Context
from django.test import RequestFactory
from django.utils.translation import override

from apps.integrations.masking import masked
from opsconsole.templatetags import console


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(), "now"),
        (timedelta(seconds=12.4), "12 s ago"),
        (timedelta(minutes=3, seconds=59), "3 min ago"),
        (timedelta(hours=5, minutes=1), "5 h ago"),
        (timedelta(days=6, hours=1), "6 d ago"),
        (-timedelta(hours=2, minutes=1), "in 2 h"),
    ],
)
def test_an_age_is_written_in_its_largest_unit(span: timedelta, words: str) -> None:
    assert f">{words}</time>" in console.ago(datetime.now(UTC) - span)


def test_an_old_age_is_written_as_its_day() -> None:
    assert ">08 Mar 2020</time>" in console.ago(datetime(2020, 3, 8, 12, tzinfo=UTC))


def test_a_moment_that_never_came_is_a_dash() -> None:
    assert console.ago(None) == console.UNKNOWN


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "—"),
        (0.42, "420 ms"),
        (3.14, "3.1 s"),
        (125, "2 min 5 s"),
        (timedelta(hours=2), "2 h"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_is_written_in_two_units(value: timedelta | float | None, words: str) -> None:
    assert console.duration(value) == words


def test_numbers_stand_apart_as_the_language_wants() -> None:
    assert console.number(1_000_000) == "1,000,000"
    with override("pt-br"):
        assert console.number(1_000_000).replace("\xa0", ".") == "1.000.000"


def test_an_unknown_number_is_a_dash_and_never_a_zero() -> None:
    assert console.number(None) == console.UNKNOWN


def test_a_payload_is_masked_as_it_is_everywhere_else() -> None:
    payload = {
        "api_token": "s3cret",
        "who": ["joao.silva@example.com", {"cpf": "529.982.247-25"}],
        "phone": 5511912349999,
    }
    assert json.loads(console.pretty_json(payload)) == masked(payload) != payload


def test_a_payload_keeps_what_is_neither_secret_nor_personal() -> None:
    assert (
        console.pretty_json({"title": "Ação 12", "value": 1250.5}) == '{\n  "title": "Ação 12",\n  "value": 1250.5\n}'
    )


def test_a_sparkline_keeps_within_its_frame() -> None:
    assert console.sparkline([0, 5, 10])["points"] == "0.0,22.0 48.0,12.0 96.0,2.0"


def test_a_sparkline_of_nothing_is_no_error() -> None:
    assert console.sparkline([])["points"] == ""


def test_the_rail_leaves_out_what_the_reader_may_not_see(rf: RequestFactory, caio: User) -> None:
    request = rf.get("/admin/")
    request.user = caio
    (group,) = console.navigation(Context({"request": request}))
    assert [(place.url, place.current) for place in group] == [("/admin/", True)]


def test_runs_open_with_what_is_unresolved() -> None:
    request = RequestFactory().get("/admin/jobs/jobrun/")
    request.user = User(is_superuser=True, is_active=True)
    places = [place for group in console.navigation(Context({"request": request})) for place in group]
    assert [(place.url, place.current) for place in places if str(place.label) == "Runs"] == [
        ("/admin/jobs/jobrun/?status=failed", True)
    ]
