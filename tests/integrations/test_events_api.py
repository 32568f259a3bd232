"""Handing events in over the API: plain, many at once, and as CloudEvents in their three forms."""

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from apps.integrations.arrivals import BATCH, STRUCTURED, Request, cloud_events, moment, webhook
from apps.integrations.bodies import Unreadable
from apps.integrations.models import EventSource, IntegrationEvent
from tests.api import Api, problem
from tests.integrations.events import event_of, source
from tests.integrations.mappings import JSON

pytestmark = pytest.mark.django_db
EVENT = {"source_system": "site", "event_type": "lead.created", "event_id": "e-1", "payload": {"name": "Ana"}}
CLOUD = {"specversion": "1.0", "id": "c-1", "source": "site", "type": "lead.created", "data": {"name": "Ana"}}


@pytest.fixture
def site(db: None) -> EventSource:
    return source(scheme="key")


def post(api: Api, body: Any, kind: str = "application/json", path: str = "/api/events", **headers: str) -> Any:
    return api.generic("POST", path, json.dumps(body).encode(), content_type=kind, headers=headers)


def test_an_event_is_kept_and_answered_202(ana_api: Api, site: EventSource) -> None:
    answer = post(ana_api, EVENT)
    event = IntegrationEvent.objects.get()
    assert (answer.status_code, answer["Location"]) == (202, f"/api/events/{event.pk}")
    assert (event.proof, event.sender, event.data, event.event_id) == ("key", "ana", {"name": "Ana"}, "e-1")
    assert json.loads(bytes(event.body)) == EVENT


def test_the_same_event_again_is_answered_200(ana_api: Api, site: EventSource) -> None:
    first, second = post(ana_api, EVENT), post(ana_api, EVENT)
    assert (second.status_code, second.json()) == (200, {**first.json(), "duplicate": True})


def test_the_same_request_by_its_key_gets_the_same_answer(ana_api: Api, site: EventSource) -> None:
    body = {name: value for name, value in EVENT.items() if name != "event_id"}
    headers = {"Idempotency-Key": "k-1"}
    first, second = (post(ana_api, body, **headers).content for _ in range(2))
    assert (first, IntegrationEvent.objects.count()) == (second, 1)


def test_who_may_only_look_may_not_hand_in(bia_api: Api, site: EventSource) -> None:
    assert "may not hand in events" in problem(post(bia_api, EVENT), 403)["detail"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"source_system": "sitr"}, "source"),
        ({"event_type": ""}, "event_type"),
        ({"event_id": "x" * 301}, "event_id"),
        ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"occurred_at": "2026-01-01T00:00:00"}, "occurred_at"),
        ({"status": "processed"}, "status"),
    ],
)
def test_a_field_that_will_not_do_is_named(ana_api: Api, site: EventSource, change: Any, field: str) -> None:
    found = problem(post(ana_api, EVENT | change), 422)
    assert field in found["errors"]
    assert IntegrationEvent.objects.count() == 0


def test_an_unknown_source_is_told_the_one_that_was_meant(ana_api: Api, site: EventSource) -> None:
    assert "did you mean site?" in problem(post(ana_api, EVENT | {"source_system": "sitr"}), 422)["detail"]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{", 400),
        ("application/json", b'{"a":1,"a":2}', 400),
        ("application/json", b"[1]", 422),
        ("text/plain", b"{}", 415),
        ("application/json; charset=utf-16", b"{}", 415),
    ],
)
def test_what_cannot_be_read_is_refused(ana_api: Api, site: EventSource, kind: str, body: bytes, status: int) -> None:
    problem(ana_api.post_raw("/api/events", body, kind), status)


def test_an_event_larger_than_its_source_may_send_is_refused(ana_api: Api) -> None:
    source(scheme="key", max_bytes=1024)
    problem(post(ana_api, EVENT | {"payload": "x" * 2000}), 413)


def test_many_events_come_in_together(ana_api: Api, site: EventSource) -> None:
    events = [EVENT | {"event_id": str(n)} for n in (1, 2, 2)]
    answer = post(ana_api, {"events": events}, path="/api/events/bulk")
    told = answer.json()
    assert (answer.status_code, told["count"], told["duplicates"]) == (202, 3, 1)
    assert told["ids"][1] == told["ids"][2]


def test_of_many_all_are_taken_in_or_none(ana_api: Api, site: EventSource) -> None:
    events = [EVENT | {"event_id": "1"}, EVENT | {"event_id": "2", "source_system": "nobody"}]
    found = problem(post(ana_api, {"events": events}, path="/api/events/bulk"), 422)
    assert (found["index"], IntegrationEvent.objects.count()) == (1, 0)


def test_a_misshapen_one_of_many_is_named_by_its_index(ana_api: Api, site: EventSource) -> None:
    found = problem(post(ana_api, {"events": [EVENT, {**EVENT, "event_type": ""}]}, path="/api/events/bulk"), 422)
    assert list(found["errors"]) == ["events.1.event_type"]


@pytest.mark.parametrize("count", [0, 1001])
def test_a_list_is_of_one_to_a_thousand(ana_api: Api, site: EventSource, count: int) -> None:
    problem(post(ana_api, {"events": [EVENT] * count}, path="/api/events/bulk"), 422)


def test_a_structured_cloud_event_is_taken_in(ana_api: Api, site: EventSource) -> None:
    told = CLOUD | {"subject": "lead-1", "time": "2026-01-20T11:02:03Z"}
    assert post(ana_api, told, STRUCTURED).status_code == 202
    event = IntegrationEvent.objects.get()
    assert (event.event_id, event.subject, event.data) == ("c-1", "lead-1", {"name": "Ana"})
    assert event.occurred_at.isoformat() == "2026-01-20T11:02:03+00:00"


def test_a_binary_cloud_event_is_taken_in(ana_api: Api, site: EventSource) -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "c-1", "ce-source": "site", "ce-type": "lead.created"}
    assert post(ana_api, {"name": "Ana"}, **headers, **{"ce-subject": "S%C3%A3o"}).status_code == 202
    event = IntegrationEvent.objects.get()
    assert (event.data, event.subject) == ({"name": "Ana"}, "São")


def test_a_batch_of_cloud_events_is_taken_in_or_none_of_it(ana_api: Api, site: EventSource) -> None:
    answer = post(ana_api, [CLOUD, CLOUD | {"id": "c-2"}], BATCH)
    assert (answer.status_code, answer.json()["count"]) == (202, 2)
    found = problem(post(ana_api, [CLOUD | {"id": "c-3"}, {**CLOUD, "id": ""}], BATCH), 422)
    assert (found["index"], IntegrationEvent.objects.count()) == (1, 2)


def test_a_cloud_event_finds_its_source_by_what_it_calls_it(ana_api: Api) -> None:
    row = source(scheme="key", cloudevents_source="https://site.example.com/leads")
    post(ana_api, CLOUD | {"source": "https://site.example.com/leads"}, STRUCTURED)
    assert IntegrationEvent.objects.get().source == row


def test_the_trace_of_a_cloud_event_goes_before_the_requests(ana_api: Api, site: EventSource) -> None:
    own, other = (f"00-{letter * 32}-{letter * 16}-01" for letter in "ab")
    post(ana_api, CLOUD | {"traceparent": own}, STRUCTURED, traceparent=other)
    assert IntegrationEvent.objects.get().traceparent == own


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"source": None}, "source"),
        ({"type": "x" * 201}, "type"),
        ({"subject": ""}, "subject"),
        ({"time": "noon"}, "time"),
        ({"time": 1}, "time"),
        ({"data_base64": "no base64"}, "data_base64"),
    ],
)
def test_a_cloud_event_that_is_none_says_why(ana_api: Api, site: EventSource, change: Any, field: str) -> None:
    assert list(problem(post(ana_api, CLOUD | change, STRUCTURED), 422)["errors"]) == [field]


def test_data_in_base64_is_read_where_it_is_json() -> None:
    told = {name: value for name, value in CLOUD.items() if name != "data"}
    told["data_base64"] = base64.b64encode(b'{"n": 1}').decode()
    [found] = cloud_events(Request(STRUCTURED, {}, json.dumps(told).encode()))
    assert found.data == {"n": 1}


def test_the_page_of_an_event_tells_what_came_masked_and_what_it_became(ana_api: Api) -> None:
    event = event_of(source(), data={"token": "abc", "name": "Ana"})
    found = ana_api.get(f"/api/events/{event.pk}").json()
    assert (found["payload"], found["became"], found["source_system"]) == ({"token": "•••", "name": "Ana"}, [], "site")


def test_the_list_of_events_is_found_by_type_and_source(ana_api: Api) -> None:
    event_of(source())
    event_of(source("shop"), event_type="order.paid")
    items = ana_api.get("/api/events?source=shop&type=order.paid").json()["items"]
    assert [item["event_type"] for item in items] == ["order.paid"]


@given(JSON)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_whatever_json_comes_as_a_cloud_event_is_read_or_refused_in_a_sentence(value: Any) -> None:
    body = json.dumps({**CLOUD, **value} if isinstance(value, dict) else value).encode()
    told = ""
    try:
        told = cloud_events(Request(STRUCTURED, {}, body))[0].event_id
    except Unreadable as error:
        told = str(error)
    assert told


@given(JSON)
@settings(max_examples=200)
def test_whatever_json_comes_by_a_webhook_becomes_an_event(value: Any) -> None:
    for scheme in ("standard", "chatwoot", "hmac", "path"):
        places = {"subject": "data.id", "time": "at"}
        arrival = webhook(scheme, places, Request("application/json", {}, json.dumps(value).encode()))
        assert arrival.event_id
        assert arrival.event_type


@pytest.mark.parametrize(
    "told", ["", "x", "9" * 400, -(10**30), 1e300, True, None, [], "2026-13-45", "0001-01-01T00:00:00+14:00"]
)
def test_a_moment_that_is_none_is_none(told: Any) -> None:
    assert moment(told) is None


@pytest.mark.parametrize(
    "told", [1768906923, 1768906923000, "1768906923", "2026-01-20T11:02:03Z", "2026-01-20 08:02:03"]
)
def test_a_moment_is_read_in_each_of_its_forms(told: Any) -> None:
    found = moment(told)
    assert found is not None
    assert found.isoformat() == "2026-01-20T11:02:03+00:00"
