import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

from apps.integrations import admission
from apps.integrations.admission import Limit, admit
from apps.integrations.models import RateLimit
from tests.api import Api, key_of, problem
from tests.cast import Company

OPERATIONS = "/api/pending-operations"
WORK = {"operation_type": "deal.create", "payload": {"title": "x", "pipeline_id": 1, "stage_id": 11}}


def limited(monkeypatch: pytest.MonkeyPatch, requests: int = 3, **others: int) -> None:
    """Let every limit be this one, an hour long, so that nothing is refilled while a test runs."""
    counts = dict.fromkeys(RateLimit.Name.values, requests) | {name.replace("_", "-"): n for name, n in others.items()}
    known = {name: Limit(name, count, 3600) for name, count in counts.items()}
    monkeypatch.setattr(admission, "limits", lambda: known)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Valkey is away."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(admission, "_script", admission._script.__wrapped__)
    monkeypatch.setattr(admission, "_away_until", 0.0)
    monkeypatch.setattr(admission, "_own", admission._Own())


def somebody() -> str:
    return f"test:{secrets.token_hex(8)}"


def address() -> str:
    return f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.{secrets.randbelow(256)}"


# The bucket


def test_so_many_are_admitted_and_the_next_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch)
    who = somebody()
    assert [admit(who, "address").admitted for _ in range(5)] == [True, True, True, False, False]


def test_each_client_and_each_limit_has_its_own_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 1)
    who = somebody()
    assert admit(who, "address").admitted
    assert admit(who, "handing-in").admitted
    assert admit(somebody(), "address").admitted
    assert not admit(who, "address").admitted


def test_a_bucket_fills_with_time(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    limited(monkeypatch, 2)
    who = somebody()
    for _ in range(3):
        admit(who, "address")
    with redis.Redis.from_url(settings.REDIS_URL) as valkey:
        valkey.hincrbyfloat(f"admit:address:{who}", "at", -1800)  # half an hour ago: one of two
    assert [admit(who, "address").admitted for _ in range(2)] == [True, False]


def test_a_bucket_is_forgotten_when_it_would_be_full(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:  # S1-93
    limited(monkeypatch)
    who = somebody()
    admit(who, "address")
    with redis.Redis.from_url(settings.REDIS_URL) as valkey:
        assert 0 < int(valkey.ttl(f"admit:address:{who}")) <= 3601


def test_the_headers_say_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 2)
    who = somebody()
    assert admit(who, "address").headers == {
        "RateLimit-Policy": '"address";q=2;w=3600',
        "RateLimit": '"address";r=1;t=1800',
    }
    admit(who, "address")
    refused = admit(who, "address").headers
    assert refused["RateLimit"] == '"address";r=0;t=3600'
    assert refused["Retry-After"] == "1800"


def trips(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Note what Valkey is asked from here on."""
    asked, shared = list[Any](), admission._shared

    def noted(buckets: Any) -> Any:
        asked.append(buckets)
        return shared(buckets)

    monkeypatch.setattr(admission, "_shared", noted)
    return asked


def race(calls: int) -> int:
    who = somebody()
    with ThreadPoolExecutor(20) as pool:
        return sum(standing.admitted for standing in pool.map(lambda _: admit(who, "address"), range(calls)))


def test_of_a_thousand_at_once_exactly_so_many_are_admitted(monkeypatch: pytest.MonkeyPatch) -> None:  # S19
    limited(monkeypatch, 100)
    assert race(1000) == 100


def test_of_a_client_that_keeps_coming_no_more_are_admitted_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 1000)
    assert 950 <= race(1500) <= 1000


def test_who_keeps_coming_costs_few_round_trips(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 10_000)
    asked, who = trips(monkeypatch), somebody()
    left = [int(admit(who, "address").tokens) for _ in range(500)]
    assert len(asked) < 50
    assert left == sorted(left, reverse=True)


def test_what_was_fetched_ahead_is_good_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 10_000)
    monkeypatch.setattr(admission, "AHEAD_SECONDS", -1.0)
    asked, who = trips(monkeypatch), somebody()
    assert all(admit(who, "address").admitted for _ in range(5))
    assert len(asked) == 5


def test_while_valkey_is_away_each_process_counts_for_itself(monkeypatch: pytest.MonkeyPatch, away: None) -> None:
    limited(monkeypatch, 100)
    assert race(1000) == 100


def test_a_process_keeps_no_more_buckets_than_so_many(monkeypatch: pytest.MonkeyPatch, away: None) -> None:
    limited(monkeypatch)
    monkeypatch.setattr(admission, "OWN_AT_MOST", 10)
    for _ in range(50):
        admit(somebody(), "address")
    assert len(admission._own.buckets) == 10


# The rows


@pytest.mark.django_db
def test_the_limits_ship_as_rows() -> None:
    shipped = {"reads-and-verbs": 60, "handing-in": 6_000, "address": 12_000, "turned-away": 60}
    assert {row.name: row.requests for row in RateLimit.objects.all()} == shipped
    assert {str(name): most for name, most in RateLimit.SHIPPED.items()} == shipped


@pytest.mark.django_db
def test_staff_who_may_change_a_limit_and_it_is_logged(client: Client, bia: User) -> None:
    bia.user_permissions.set(Permission.objects.filter(codename__in=["change_ratelimit", "view_ratelimit"]))
    client.force_login(bia)
    path = "/admin/integrations/ratelimit/handing-in/change/"
    assert client.post(path, {"requests": 0, "seconds": 60}).status_code == 200
    client.post(path, {"requests": 9_000, "seconds": 60})
    assert admission._Limits().now()["handing-in"] == Limit("handing-in", 9_000, 60)
    assert "requests" in LogEntry.objects.get().change_message.lower()


# On the API


@pytest.mark.django_db
def test_a_key_that_asks_too_much_gets_429_with_a_time_to_come_again(
    ana_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, 2, address=100)
    answers = [ana_api.get(OPERATIONS, REMOTE_ADDR=address()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    body = problem(answers[2], 429)
    assert (body["code"], 1700 < body["retry_after"] <= 1800) == ("rate_limited", True)
    assert answers[2]["Retry-After"] == str(body["retry_after"])
    assert "2 in 3600 seconds" in body["detail"]


@pytest.mark.django_db
def test_one_keys_haste_is_no_others(ana_api: Api, bia_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 1, address=100)
    where = address()
    assert [ana_api.get(OPERATIONS, REMOTE_ADDR=where).status_code for _ in range(2)] == [200, 429]
    assert bia_api.get(OPERATIONS, REMOTE_ADDR=where).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "body"), [(OPERATIONS, WORK), (f"{OPERATIONS}/bulk", {"operations": [WORK]})])
def test_handing_in_has_a_limit_of_its_own(
    ana_api: Api, company: Company, monkeypatch: pytest.MonkeyPatch, path: str, body: Any
) -> None:
    limited(monkeypatch, 1, address=100, handing_in=3)
    assert [ana_api.get(OPERATIONS).status_code for _ in range(2)] == [200, 429]
    assert [ana_api.send(path, body).status_code for _ in range(4)] == [202, 202, 202, 429]


@pytest.mark.django_db
def test_verbs_count_as_reads_do(ana_api: Api, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 1, address=100)
    sent = [ana_api.send(f"{OPERATIONS}/retry", {"filter": {"status": "failed"}}).status_code for _ in range(2)]
    assert sent == [200, 429]


@pytest.mark.django_db
def test_whoever_guesses_keys_is_soon_not_told_that_they_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 3, address=100)
    where = address()
    guesses = [Api(f"ops_{number}").get(OPERATIONS, REMOTE_ADDR=where).status_code for number in range(5)]
    assert guesses == [401, 401, 401, 429, 429]
    assert Api(key_of("ana", "Viewer")).get(OPERATIONS, REMOTE_ADDR=where).status_code == 200


@pytest.mark.django_db
def test_an_address_is_limited_whatever_it_shows(ana_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 100, address=2)
    where = address()
    paths = ["/api/nowhere", "/api/docs", OPERATIONS]
    assert [ana_api.get(path, REMOTE_ADDR=where).status_code for path in paths] == [404, 200, 429]


@pytest.mark.django_db
@pytest.mark.parametrize("path", [OPERATIONS, "/api/nowhere", "/api/me", "/status", f"{OPERATIONS}/none", "/api/docs"])
@pytest.mark.parametrize("key", ["ana", ""])
def test_every_answer_of_the_api_says_what_is_left(path: str, key: str) -> None:
    api = Api(key_of("ana", "Viewer") if key else "")
    answer = api.get(path, headers={"Accept": "application/json"})
    assert answer["RateLimit-Policy"].startswith('"')
    assert ";r=" in answer["RateLimit"]


@pytest.mark.django_db
def test_pages_and_health_are_not_limited(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 1)
    where = address()
    assert {client.get("/health", REMOTE_ADDR=where).status_code for _ in range(3)} == {200}
    assert "RateLimit" not in client.get("/admin/login/", REMOTE_ADDR=where)


@pytest.mark.django_db
def test_the_doors_of_webhooks_are_limited_by_source_and_address(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, 100, handing_in=2)
    where = address()
    doors = ["/webhook/site", "/webhook/site/secret", "/webhook/site", "/webhook/crm"]
    refused = [client.post(door, {}, "application/json", REMOTE_ADDR=where).status_code == 429 for door in doors]
    assert refused == [False, False, True, False]
