import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session
from django.test import Client

from apps.actions.running import database_now
from apps.integrations import keys
from apps.integrations.models import ApiKey
from tests.api import Api

pytestmark = pytest.mark.django_db
ADD, LIST = "/admin/integrations/apikey/add/", "/admin/integrations/apikey/"


def form(group: str = "Viewer", **fields: Any) -> dict[str, Any]:
    told = {"name": "Monitor", "group": Group.objects.get(name=group).pk, "scopes": "*:view", "rotation_days": 90}
    return told | {"expires_at_0": "", "expires_at_1": ""} | fields


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


def shown(answer: Any) -> str:
    found = re.findall(r"ops_[\w-]{43}", answer.content.decode())
    assert len(found) == 1
    return str(found[0])


def test_a_key_is_made_in_the_admin_and_shown_once(root: Client) -> None:
    answer = root.post(ADD, form())
    assert Api(shown(answer)).get("/api/me").json()["scopes"] == ["*:view"]
    assert "no-store" in answer["Cache-Control"]


def test_the_form_of_a_key_has_one_button(root: Client) -> None:
    page = root.get(ADD).content.decode()
    assert 'name="_save"' in page
    assert 'name="_continue"' not in page


def test_a_made_key_is_kept_in_no_session_no_message_and_no_log(root: Client, caplog: pytest.LogCaptureFixture) -> None:
    plain = shown(root.post(ADD, form()))
    key = ApiKey.objects.get()
    kept = [str(session.get_decoded()) for session in Session.objects.all()]
    kept += [entry.object_repr + entry.change_message for entry in LogEntry.objects.all()]
    pages = [root.get(path).content.decode() for path in (LIST, f"{LIST}{key.pk}/change/", f"{LIST}{key.pk}/history/")]
    assert not [text for text in (*kept, *pages, caplog.text) if plain[8:] in text]
    assert LogEntry.objects.get().object_id == str(key.pk)


def test_a_wrong_scope_is_refused_at_its_field(root: Client) -> None:
    answer = root.post(ADD, form(scopes="pending-operations:retyr"))
    assert "did you mean retry" in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_a_scope_that_the_group_lacks_is_refused(root: Client) -> None:
    assert "Viewer may not" in root.post(ADD, form(scopes="pending-operations:retry")).content.decode()


def test_a_key_that_would_be_expired_is_refused(root: Client) -> None:
    answer = root.post(ADD, form(expires_at_0="2020-01-01", expires_at_1="10:00"))
    assert "moment in the future" in answer.content.decode()


@pytest.fixture
def keeper(client: Client, bia: User) -> Client:
    bia.user_permissions.set(Permission.objects.filter(codename__in=["add_apikey", "rotate_apikey"]))
    client.force_login(bia)
    return client


def test_nobody_makes_a_key_that_may_more_than_they(keeper: Client) -> None:
    assert "what bia may not" in keeper.post(ADD, form("Supervisor", scopes="")).content.decode()
    assert not ApiKey.objects.exists()


def test_a_key_of_a_larger_group_may_be_made_as_far_as_its_scopes_are_ones_own(keeper: Client) -> None:
    assert shown(keeper.post(ADD, form("Supervisor", scopes="*:view")))


def test_who_may_not_add_keys_gets_no_form(client: Client, ana: User) -> None:
    client.force_login(ana)
    assert client.get(ADD).status_code == 403


def test_rotating_in_the_admin_shows_the_successor_once(client: Client, ana: User) -> None:
    key, _plain = keys.make("erp", Group.objects.get(name="Operator"))
    client.force_login(ana)
    page = client.get(f"{LIST}verbs/rotate/?id={key.pk}")
    press = {**dict(page.context["hidden"]), "confirm": "yes", "key": page.context["form"]["key"].value()}
    assert Api(shown(client.post(page.context["press_url"], press))).get("/api/me").status_code == 200
    again = client.post(page.context["press_url"], press, follow=True)
    assert "shown once, in the first answer" in again.content.decode()
    assert ApiKey.objects.count() == 2


def test_a_key_past_its_day_is_shown_as_overdue(root: Client) -> None:
    key, _plain = keys.make("erp", Group.objects.get(name="Operator"))
    assert "overdue" not in root.get(LIST).content.decode()
    ApiKey.objects.filter(pk=key.pk).update(due_at=database_now())
    assert "overdue" in root.get(LIST).content.decode()
    assert "should have been rotated by now" in root.get(f"{LIST}{key.pk}/change/").content.decode()


def test_home_names_the_keys_that_are_due(root: Client) -> None:
    key, _plain = keys.make("erp", Group.objects.get(name="Operator"))
    assert "should have been rotated" not in root.get("/admin/").content.decode()
    ApiKey.objects.filter(pk=key.pk).update(due_at=database_now())
    (banner,) = [b for b in root.get("/admin/").context["home"]["banners"] if "rotated" in b["words"]]
    assert str(key) in banner["words"]
    assert str(key) in root.get(banner["url"]).content.decode()


def test_the_list_of_keys_keeps_its_number_of_queries(root: Client, django_assert_max_num_queries: Any) -> None:
    group = Group.objects.get(name="Operator")
    for number in range(30):
        keys.make(f"system {number}", group)
    with django_assert_max_num_queries(14):
        root.get(LIST)
