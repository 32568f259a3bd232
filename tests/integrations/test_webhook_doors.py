"""The doors in: proof, then stored, then answered; whatever is wrong costs a sentence and loses nothing (S09, S11)."""

import json
import time
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError

from apps.actions.running import run
from apps.actions.selections import Selection
from apps.deadletters.models import DeadLetter
from apps.integrations import inbox
from apps.integrations.models import EventSource, IntegrationEvent, SourceRefusal
from tests.api import problem
from tests.cast import ROOT
from tests.integrations.events import (
    NEXT_SECRET,
    PLAIN_SECRET,
    chatwoot_headers,
    hmac_headers,
    keep_secret,
    knock,
    source,
    standard_headers,
    told,
)

pytestmark = pytest.mark.django_db

CHATWOOT = {
    "event": "message_created",
    "id": 501,
    "content": "/retomar",
    "created_at": "2026-01-20T11:02:03.000Z",
    "conversation": {"id": 77},
}


def send(path: str = "site", body: bytes = b"", **how: Any) -> Any:
    body = body or told()
    return knock(path, body, standard_headers(body, **how))


def events() -> int:
    return IntegrationEvent.objects.count()


def test_a_signed_event_is_stored_as_it_came_and_answered() -> None:
    source()
    body = told(timestamp="2026-01-20T11:02:03Z")
    answer = send(body=body)
    event = IntegrationEvent.objects.get()
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "received", "id": str(event.pk), "duplicate": False},
    )
    assert (bytes(event.body), event.event_type, event.event_id, event.proof) == (
        body,
        "lead.created",
        "msg_1",
        "signed",
    )
    assert event.occurred_at.isoformat() == "2026-01-20T11:02:03+00:00"
    assert event.data == {"name": "Ana"}


def test_the_same_id_again_is_answered_as_a_duplicate_and_counted() -> None:
    source()
    first, second = send().json(), send().json()
    assert second == {**first, "duplicate": True}
    assert list(IntegrationEvent.objects.values_list("duplicates", flat=True)) == [1]


def test_the_same_id_of_two_sources_is_two_events() -> None:
    source()
    source("shop")
    assert [send(path).json()["duplicate"] for path in ("site", "shop")] == [False, False]


def test_chatwoot_is_understood() -> None:
    source("chat", "chatwoot", PLAIN_SECRET)
    body = json.dumps(CHATWOOT).encode()
    assert knock("chat", body, chatwoot_headers(body)).status_code == 200
    event = IntegrationEvent.objects.get()
    assert (event.event_type, event.event_id, event.subject) == ("message_created", "delivery-1", "message:501")


def test_a_plain_hmac_is_understood() -> None:
    source("crm", "hmac", PLAIN_SECRET)
    assert knock("crm", b'{"a": 1}', hmac_headers(b'{"a": 1}')).status_code == 200
    event = IntegrationEvent.objects.get()
    assert (event.event_type, event.event_id, event.proof) == ("lead.created", "e-1", "signed")


def test_a_secret_address_is_taken_from_its_network_and_shown_as_unsigned() -> None:
    source(
        "forms", "path", PLAIN_SECRET, allowed_networks=["127.0.0.0/8"], places={"subject": "deal.id", "type": "what"}
    )
    answer = knock(f"forms/{PLAIN_SECRET}", b'{"what": "deal.moved", "deal": {"id": 9}}', {})
    event = IntegrationEvent.objects.get()
    assert (answer.status_code, event.proof, event.event_type, event.subject) == (200, "unsigned", "deal.moved", "9")
    assert event.sender == "127.0.0.1"


def test_the_same_bytes_again_are_a_duplicate_where_no_id_is_named() -> None:
    source("forms", "path", PLAIN_SECRET, allowed_networks=["127.0.0.0/8"])
    answers = [knock(f"forms/{PLAIN_SECRET}", b"[1]", {}).json()["duplicate"] for _ in range(2)]
    assert answers == [False, True]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"webhook-signature": "v1,AAAA"}, "bad_signature"),
        ({"webhook-signature": "v1,\xe9"}, "bad_signature"),
        ({"webhook-signature": ""}, "no_signature"),
        ({"webhook-timestamp": "1"}, "bad_time"),
        ({"webhook-timestamp": str(int(time.time()) + 3600)}, "bad_time"),
    ],
)
def test_a_bad_proof_is_refused_counted_and_stores_nothing(change: dict[str, str], code: str) -> None:
    source()
    answer = knock("site", told(), standard_headers(told()) | change)
    assert problem(answer, 401)["code"] == code
    assert (events(), list(SourceRefusal.objects.values_list("reason", "count"))) == (0, [(code, 1)])


def test_however_often_somebody_knocks_one_row_counts_it() -> None:
    source()
    for _ in range(5):
        knock("site", b"{}", {})
    assert list(SourceRefusal.objects.values_list("reason", "count")) == [("no_signature", 5)]


@pytest.mark.parametrize("path", ["site/", "nowhere", "keyed", f"forms/{PLAIN_SECRET}x/more"])
def test_there_is_no_other_door(path: str) -> None:
    source()
    source("keyed", "key")
    problem(knock(path, told(), standard_headers(told())), 404)
    assert events() == 0


@pytest.mark.parametrize("path", ["site/anything", "forms", "forms/wrong"])
def test_a_door_opens_by_its_own_proof_only(path: str) -> None:
    source()
    source("forms", "path", PLAIN_SECRET, allowed_networks=["127.0.0.0/8"])
    problem(knock(path, told(), standard_headers(told())), 401)
    assert events() == 0


def test_an_address_beside_the_list_is_refused_though_it_knows_the_secret() -> None:
    source("forms", "path", PLAIN_SECRET, allowed_networks=["203.0.113.0/24"])
    assert problem(knock(f"forms/{PLAIN_SECRET}", b"{}", {}), 401)["code"] == "bad_address"


def test_a_refusal_does_not_repeat_the_secret_of_the_address() -> None:
    source("forms", "path", PLAIN_SECRET, allowed_networks=["203.0.113.0/24"])
    assert PLAIN_SECRET not in knock(f"forms/{PLAIN_SECRET}", b"{}", {}).content.decode()


def test_both_secrets_count_while_they_are_rotated() -> None:
    row = source()
    row.credentials["next"] = keep_secret("TEST_NEXT_SECRET", NEXT_SECRET)
    row.save()
    assert [send(key=key, secret=secret).status_code for key, secret in (("a", NEXT_SECRET), ("b", NEXT_SECRET))] == [
        200
    ] * 2
    assert send(key="c").status_code == 200


def test_an_optional_signature_may_be_missing_but_not_wrong() -> None:
    source(signature_required=False)
    assert knock("site", told(), {"webhook-id": "x"}).status_code == 200
    assert IntegrationEvent.objects.get().proof == "unsigned"
    problem(knock("site", told(), standard_headers(told()) | {"webhook-signature": "v1,AAAA"}), 401)


@pytest.mark.parametrize("secret", ["", "whsec_short"])
def test_a_door_without_its_secret_asks_the_sender_to_come_again(secret: str) -> None:
    source(secret=secret)
    answer = send()
    assert problem(answer, 503)["code"] == "no_secret"
    assert answer["Retry-After"]


def test_a_body_that_is_too_large_is_refused_before_it_is_read() -> None:
    source(max_bytes=1024)
    body = told(more="x" * 2000)
    assert problem(send(body=body), 413)["code"] == "too_large"
    assert events() == 0


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", ""]
)
def test_what_is_not_said_to_be_json_is_refused(kind: str) -> None:
    source()
    answer = knock("site", told(), standard_headers(told()), content_type=kind)
    assert problem(answer, 415)["code"] == "wrong_type"


HOSTILE = [
    b"{",
    b" ",
    b"\xff\xfe",
    b'{"a": 1, "a": 2}',
    b'{"a": NaN}',
    b'{"a": 1e999}',
    b'{"a": "\\u0000"}',
    b'{"a": "\\ud800"}',
    b"[" * 60 + b"]" * 60,
    b"[" * 100_000,
    b'{"n": ' + b"9" * 200 + b"}",
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_a_body_that_cannot_be_read_is_kept_as_a_failed_event_and_answered_400(body: bytes) -> None:
    source()
    answer = knock("site", body, standard_headers(body))
    found = problem(answer, 400)
    event = IntegrationEvent.objects.get()
    assert (found["code"], found["id"], event.status, event.error_type) == (
        "unreadable",
        str(event.pk),
        "failed",
        "unreadable",
    )
    assert DeadLetter.objects.get(source_id=event.pk).message == event.last_error != ""


def test_what_is_kept_of_an_unreadable_body_is_bounded_and_masked() -> None:
    source()
    body = b'{"token": "very-secret-value", "cpf": "529.982.247-25", ' + b" " * 100_000
    knock("site", body, standard_headers(body))
    kept = bytes(IntegrationEvent.objects.get().body)
    assert len(kept) <= inbox.READABLE_PART
    assert b"very-secret" not in kept
    assert b"529.982" not in kept


def test_the_same_unreadable_body_again_makes_no_second_event() -> None:
    source()
    for key in ("a", "b"):
        knock("site", b"{", standard_headers(b"{", key=key))
    assert list(IntegrationEvent.objects.values_list("duplicates", "status")) == [(1, "failed")]


def test_headers_are_kept_without_what_they_must_not_tell() -> None:
    source()
    knock("site", told(), standard_headers(told()) | {"Authorization": "Bearer abc", "User-Agent": "site/1"})
    headers = IntegrationEvent.objects.get().headers
    assert (headers["user-agent"], headers["authorization"], headers["webhook-id"]) == ("site/1", "•••", "msg_1")


def test_its_trace_is_kept_and_a_bad_one_begins_anew() -> None:
    source()
    good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for key, traceparent in (("a", good), ("b", "00-" + "0" * 32 + "-b7ad6b7169203331-01")):
        knock("site", told(), standard_headers(told(), key=key) | {"traceparent": traceparent})
    first, second = IntegrationEvent.objects.order_by("pk")
    assert (first.traceparent, first.trace_id) == (good, "0af7651916cd43dd8448eb211c80319c")
    assert second.trace_id not in ("", "0" * 32, first.trace_id)


def test_nothing_happens_later_than_it_is_told_of() -> None:
    source()
    send(body=told(timestamp="2199-01-01T00:00:00Z"))
    event = IntegrationEvent.objects.get()
    assert event.occurred_at <= event.received_at


def test_what_is_not_stored_is_answered_503(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*arriving: Any) -> Any:
        raise OperationalError("gone") from DatabaseError()

    source()
    monkeypatch.setattr(inbox, "take_in_new", away)
    answer = send()
    problem(answer, 503)
    assert answer["Retry-After"]


def test_what_a_paused_source_sends_is_taken_in_all_the_same() -> None:
    run(EventSource.pause, Selection.ticked(EventSource, [source().pk]), ROOT, given={"reason": "a flood"})
    assert send().status_code == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_door_takes_posts_only(client: Any, method: str) -> None:
    source()
    problem(client.generic(method, "/webhook/site"), 405)


def test_cloud_events_come_in_by_a_door_too() -> None:
    source()
    body = json.dumps(
        {"specversion": "1.0", "id": "7", "source": "/shops/3", "type": "order.paid", "data": {"n": 1}}
    ).encode()
    kind = "application/cloudevents+json"
    assert knock("site", body, standard_headers(body), kind).status_code == 200
    again = {**json.loads(body), "source": "/shops/4"}
    body = json.dumps(again).encode()
    assert knock("site", body, standard_headers(body), kind).json()["duplicate"] is False
