import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from apps.actions.actors import Actor, Door
from apps.actions.models import ActionItem, ActionRun
from apps.actions.running import database_now, preview, run
from apps.actions.selections import Selection
from apps.actions.verbs import Invalid, NotPermitted, Refused
from apps.integrations import keys
from apps.integrations.models import ApiKey, KeyUse
from tests.api import Api, problem
from tests.cast import ROOT, Company

pytestmark = pytest.mark.django_db
OPERATIONS = "/api/pending-operations"
AN_HOUR = dt.timedelta(hours=1)


def made(group: str = "Operator", **how: Any) -> tuple[ApiKey, Api]:
    key, plain = keys.make("erp", Group.objects.get(name=group), **how)
    return key, Api(plain)


def only(key: ApiKey) -> Selection:
    return Selection.ticked(ApiKey, [key.pk])


def rotated(key: ApiKey, actor: Actor = ROOT, **given: Any) -> tuple[ApiKey, str]:
    record = run(ApiKey.rotate, only(key), actor, given=given)
    (shown,) = record.shown_once
    key.refresh_from_db()
    return ApiKey.objects.get(replaces=key), shown.text


# Scopes


def test_a_key_without_scopes_does_what_its_group_may(company: Company) -> None:
    _key, erp = made()
    assert erp.send(f"{OPERATIONS}/retry", {"filter": {"status": "failed"}}).status_code == 200


def test_a_key_does_only_what_its_scopes_name(company: Company) -> None:
    _key, erp = made(scopes=["pending-operations:retry"])
    assert erp.send(f"{OPERATIONS}/retry", {"filter": {"status": "failed"}}).status_code == 200
    assert "may not reset" in problem(erp.send(f"{OPERATIONS}/reset", {"filter": {}}), 403)["detail"]
    problem(erp.get("/api/queues"), 403)


def test_a_scope_for_a_verb_lets_its_noun_be_seen(company: Company) -> None:
    _key, erp = made(scopes=["pending-operations:retry"])
    assert erp.get(OPERATIONS).status_code == 200


def test_a_key_that_hands_in_need_not_see_anything(company: Company) -> None:
    _key, erp = made(scopes=["pending-operations:add"])
    assert erp.send(OPERATIONS, {"operation_type": "deal.create", "payload": {"title": "x"}}).status_code in (202, 422)
    problem(erp.get(OPERATIONS), 403)


@pytest.mark.parametrize("scope", ["*:view", "*:*", "pending-operations:*", "pending-operations:view"])
def test_a_star_stands_for_every_noun_or_every_verb(company: Company, scope: str) -> None:
    _key, monitor = made("Viewer", scopes=[scope])
    assert monitor.get(OPERATIONS).status_code == 200


def test_a_scope_gives_nothing_that_the_group_lacks(company: Company) -> None:
    _key, erp = made("Operator", scopes=["*:*"])
    found = keys.find(erp.key)
    assert found
    assert keys.grants(found) < keys.of_group(Group.objects.get(name="Supervisor"))
    problem(erp.send("/api/api-keys/revoke", {"filter": {}, "reason": "x"}), 403)


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        ("retry", "noun:verb"),
        ("pending-operation:retry", "did you mean pending-operations"),
        ("pending-operations:retyr", "did you mean retry"),
        ("queues:retry", "no verb retry"),
        ("*:explode", "no verb explode"),
        ("api-keys:revoke", "group Operator may not"),
        ("queues:add", "no verb add"),
    ],
)
def test_a_scope_that_names_nothing_is_refused_with_a_hint(scope: str, said: str) -> None:
    with pytest.raises(Invalid, match=said.replace("*", r"\*")):
        made(scopes=[scope])
    assert not ApiKey.objects.exists()


def test_a_key_says_what_it_may_and_until_when() -> None:
    key, erp = made(scopes=["*:view"], expires_at=database_now() + AN_HOUR)
    told = erp.get("/api/me").json()
    assert told["scopes"] == ["*:view"]
    assert key.expires_at is not None
    assert told["expires_at"][:19] == key.expires_at.isoformat()[:19]


# Expiry


def test_an_expired_key_opens_nothing_and_says_so() -> None:
    key, erp = made(expires_at=database_now() + AN_HOUR)
    ApiKey.objects.filter(pk=key.pk).update(expires_at=database_now() - AN_HOUR)
    assert "has expired" in problem(erp.get("/api/me"), 401)["detail"]


def test_a_key_is_not_made_expired() -> None:
    with pytest.raises(Invalid, match="in the future"):
        made(expires_at=database_now() - AN_HOUR)


def test_the_sweep_writes_down_that_a_key_is_over() -> None:
    key, _erp = made(expires_at=database_now() + AN_HOUR)
    ApiKey.objects.filter(pk=key.pk).update(expires_at=database_now() - AN_HOUR)
    keys.close_lapsed()
    key.refresh_from_db()
    assert (key.status, key.revoked_reason, key.revoked_at) == ("revoked", "expired", key.expires_at)
    assert ActionItem.objects.get(object_id=key.pk).actor_name == "system"


# Rotation


def test_a_rotated_key_has_a_successor_that_may_the_same() -> None:
    old, _erp = made(scopes=["*:view"])
    new, plain = rotated(old)
    assert (new.name, new.group, new.scopes) == (old.name, old.group, old.scopes)
    assert Api(plain).get("/api/me").json()["name"] == "erp"


def test_both_keys_open_until_the_moment_that_was_named() -> None:
    old, erp = made()
    until = database_now() + AN_HOUR
    _new, plain = rotated(old, until=until)
    assert old.expires_at == until
    assert [api.get("/api/me").status_code for api in (erp, Api(plain))] == [200, 200]


def test_without_a_moment_the_old_key_has_seven_days() -> None:
    old, _erp = made()
    rotated(old)
    assert old.expires_at is not None
    assert dt.timedelta(days=6, hours=23) < old.expires_at - database_now() <= dt.timedelta(days=7)


def test_rotation_never_lengthens_a_keys_life() -> None:
    end = database_now() + AN_HOUR
    old, _erp = made(expires_at=end)
    new, _plain = rotated(old, until=end + AN_HOUR)
    assert old.expires_at == end
    assert new.expires_at is not None
    assert new.expires_at > end


def test_the_old_key_closes_by_itself() -> None:
    old, erp = made()
    rotated(old)
    ApiKey.objects.filter(pk=old.pk).update(expires_at=database_now() - AN_HOUR)
    assert "it was rotated" in problem(erp.get("/api/me"), 401)["detail"]
    keys.close_lapsed()
    old.refresh_from_db()
    assert (old.status, old.revoked_reason) == ("revoked", "rotated")


def test_a_key_is_rotated_once() -> None:
    old, _erp = made()
    rotated(old)
    with pytest.raises(Refused, match="rotate its successor"):
        rotated(old)


def test_a_successors_text_is_kept_nowhere() -> None:
    old, _erp = made()
    _new, plain = rotated(old)
    run_of_it = ActionRun.objects.get(verb="rotate")
    assert plain not in str(run_of_it.__dict__)
    assert plain not in repr(run_of_it.shown_once)


def test_nobody_gets_hold_of_a_key_that_may_more_than_they() -> None:
    old, _erp = made("Supervisor")
    small = Actor(Door.API, "small", grants=frozenset({"integrations.rotate_apikey", "integrations.view_apikey"}))
    for asked in (preview, run):
        with pytest.raises(NotPermitted, match="may do what small may not"):
            asked(ApiKey.rotate, only(old), small)


def test_a_successor_is_made_even_where_the_group_may_less_by_now() -> None:
    old, _erp = made(scopes=["pending-operations:retry"])
    old.group.permissions.clear()
    new, _plain = rotated(old)
    assert new.scopes == old.scopes


# On the API


def test_the_api_shows_a_successor_in_its_answer(ana_api: Api) -> None:
    old, _erp = made()
    answer = ana_api.send(f"/api/api-keys/{old.pk}/rotate", {}).json()
    (shown,) = answer["shown_once"]
    assert Api(shown["text"]).get("/api/me").json()["name"] == "erp"
    assert shown["text"] not in ana_api.get(f"/api/action-runs/{answer['action_run']}").content.decode()


def test_an_answer_that_is_kept_for_its_idempotency_key_does_not_hold_the_secret(ana_api: Api) -> None:
    old, _erp = made()
    first, again = (
        ana_api.send(f"/api/api-keys/{old.pk}/rotate", {}, **{"Idempotency-Key": "rotate-1"}) for _ in range(2)
    )
    assert (first.status_code, again.status_code) == (200, 200)
    assert len(first.json()["shown_once"]) == 1
    assert again.json() == first.json() | {"shown_once": []}


def test_many_keys_are_rotated_at_once_and_all_are_shown(ana_api: Api) -> None:
    ids = [str(made()[0].pk) for _ in range(3)]
    answer = ana_api.send("/api/api-keys/rotate", {"ids": ids}).json()
    assert (answer["moved"], len(answer["shown_once"])) == (3, 3)


# Use


def test_use_is_noted_with_its_address() -> None:
    key, erp = made()
    erp.get("/api/me", REMOTE_ADDR="10.1.2.3")
    key.refresh_from_db()
    assert key.last_used_from == "10.1.2.3"
    assert list(KeyUse.objects.values_list("key", "address")) == [(key.pk, "10.1.2.3")]


def test_the_uses_of_a_minute_are_one_per_address() -> None:
    key, erp = made()
    for _ in range(3):
        erp.get("/api/me", REMOTE_ADDR="10.1.2.3")
    first = KeyUse.objects.get().at
    erp.get("/api/me", REMOTE_ADDR="10.1.2.4")
    assert KeyUse.objects.get(address="10.1.2.3").at == first
    assert key.uses.count() == 2


def test_a_closed_key_is_not_in_use() -> None:
    key, erp = made()
    run(ApiKey.revoke, only(key), ROOT, given={"reason": "x"})
    erp.get("/api/me")
    assert not KeyUse.objects.exists()


def test_before_a_key_is_closed_the_preview_says_who_still_uses_it(as_ana: Actor) -> None:
    key, erp = made()
    assert preview(ApiKey.revoke, only(key), as_ana).effects == []
    erp.get("/api/me", REMOTE_ADDR="10.1.2.3")
    (told,) = preview(ApiKey.revoke, only(key), as_ana).effects
    assert told.startswith(f"Still used: {key}")
    assert "from 10.1.2.3" in told


@pytest.mark.parametrize("bad", ["", "x" * 121, "a\0b", "   "])
def test_a_name_that_cannot_be_kept_is_refused(bad: str) -> None:
    with pytest.raises(Invalid, match="1 to 120"):
        keys.make(bad, Group.objects.get(name="Viewer"))


def test_a_key_is_known_to_no_client_without_it(client: Client) -> None:
    key, _erp = made()
    for text in (key.digest, key.prefix, str(key.pk)):
        problem(client.get("/api/me", headers={"X-API-Key": text}), 401)
