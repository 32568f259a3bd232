import pytest

from apps.deadletters.failures import FailureClass
from apps.integrations.connectors import CONNECTORS
from apps.integrations.connectors.shape import Doubles, Site
from tests.contracts.connectors import answer, first_call, order, play

POST = CONNECTORS["http"].operations["http.post"]
KEYED = Site("https://erp.example.com", {}, {"path": "/orders", "honours_key": True})
KEYLESS = Site("https://erp.example.com/orders")


def test_the_payload_goes_to_the_configured_path_as_it_is() -> None:
    _outcome, [asked] = play(POST.perform(order("http.post", KEYED)), [answer(201, {"id": 4})])
    assert (asked.method, asked.url, asked.json) == (
        "POST",
        "https://erp.example.com/orders",
        {"anything": ["at", "all"]},
    )


def test_without_a_path_the_base_url_itself_is_called() -> None:
    _outcome, [asked] = play(POST.perform(order("http.post", KEYLESS)), [answer(204, "")])
    assert (asked.url, "Authorization" in asked.headers) == ("https://erp.example.com/orders", False)


def test_the_service_says_whether_it_honours_our_key() -> None:
    assert (POST.doubles({"honours_key": True}), POST.doubles({})) == (Doubles.NATIVE_KEY, Doubles.NONE)


def test_a_409_under_our_key_says_that_the_first_call_is_still_at_work() -> None:
    assert first_call(POST, order("http.post", KEYED), answer(409)).failure_class == FailureClass.TRANSIENT
    assert first_call(POST, order("http.post", KEYLESS), answer(409)).failure_class == FailureClass.PERMANENT_DATA


@pytest.mark.parametrize("name", ["detail", "message", "error", "title"])
def test_its_words_are_read_where_such_services_put_them(name: str) -> None:
    outcome = first_call(POST, order("http.post", KEYED), answer(422, {"code": 7, name: "No such order"}))
    assert outcome.message == "Answered 422: No such order"


def test_the_probe_is_as_configured() -> None:
    site = Site("https://erp.example.com", {"token": "s3cret"}, {"probe_path": "/health", "probe_method": "HEAD"})
    _outcome, [asked] = play(CONNECTORS["http"].probe(site), [answer(200)])
    assert (asked.method, asked.url, asked.headers) == (
        "HEAD", "https://erp.example.com/health", {"Authorization": "Bearer s3cret"},
    )  # fmt: skip
