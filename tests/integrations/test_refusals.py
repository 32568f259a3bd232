import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client

from apps.actions.running import database_now
from apps.integrations import keys, refusals
from apps.integrations.models import AccessRefusal, ApiKey
from tests.api import Api

pytestmark = pytest.mark.django_db
OPERATIONS = "/api/pending-operations"
LIST = "/admin/integrations/accessrefusal/"


def noted() -> tuple[str, str, str, str, int]:
    row = AccessRefusal.objects.get()
    return row.reason, row.who, row.address, row.where, row.times


def dump() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(r::text, ' ') FROM integrations_accessrefusal r")
        return str(cursor.fetchone()[0])


def test_a_request_without_a_key_is_noted(client: Client) -> None:
    client.get(OPERATIONS, REMOTE_ADDR="10.1.2.3")
    assert noted() == ("key_required", "", "10.1.2.3", "GET /api/pending-operations", 1)


def test_an_unknown_key_is_noted_by_its_beginning_alone() -> None:
    shown = "ops_abcdefghijklmnop"
    Api(shown).get(OPERATIONS)
    assert noted()[:2] == ("invalid_key", "ops_abcd…")
    assert shown[:9] not in dump()


def test_what_does_not_look_like_a_key_is_not_noted_at_all() -> None:
    Api("correct horse battery").get(OPERATIONS)
    assert "corr" not in dump()


@pytest.mark.parametrize("column", ["revoked", "expired"])
def test_a_closed_key_is_noted_by_its_name(column: str) -> None:
    key, plain = keys.make("erp", Group.objects.get(name="Viewer"))
    past = {"expires_at": database_now() - dt.timedelta(hours=1)}
    ApiKey.objects.filter(pk=key.pk).update(**(past if column == "expired" else {"status": "revoked"}))
    Api(plain).get(OPERATIONS)
    assert noted()[:2] == ("closed_key", str(key))


def test_what_a_key_may_not_is_noted_without_the_rows_id(bia_api: Api) -> None:
    bia_api.send(f"{OPERATIONS}/0192f0c1-2b3c-7def-8a90-0123456789ab/retry")
    reason, who, _address, where, _times = noted()
    assert (reason, where) == ("not_permitted", "POST /api/pending-operations/<id>/retry")
    assert who.startswith("bia (ops_")


def test_what_a_person_may_not_is_noted_by_name(client: Client, caio: User) -> None:
    client.force_login(caio)
    client.get("/admin/operations/pendingoperation/")
    assert noted()[:2] == ("not_permitted", "caio")


def test_a_wrong_password_is_noted_without_what_was_typed(client: Client, ana: User) -> None:
    client.post("/admin/login/", {"username": "ana", "password": "hunter2-hunter2"}, REMOTE_ADDR="10.1.2.3")
    assert noted() == ("sign_in", "", "10.1.2.3", "POST /admin/login/", 1)
    assert "hunter2" not in dump()


def test_the_refusals_of_an_hour_are_one_row(client: Client) -> None:
    for _ in range(5):
        client.get(OPERATIONS)
    row = AccessRefusal.objects.get()
    assert (row.times, row.last_at >= row.first_at) == (5, True)


def test_reasons_and_clients_are_told_apart(client: Client) -> None:
    for address in ("10.0.0.1", "10.0.0.2"):
        client.get(OPERATIONS, REMOTE_ADDR=address)
        client.get(OPERATIONS, REMOTE_ADDR=address, headers={"X-API-Key": "ops_x"})
    assert AccessRefusal.objects.count() == 4


def test_the_record_of_an_hour_is_bounded(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MOST_AN_HOUR", 3)
    for number in range(10):
        client.get(OPERATIONS, REMOTE_ADDR=f"10.0.0.{number}")
    rows = AccessRefusal.objects.all()
    assert rows.count() == 4
    assert rows.get(address="").times == 7


def test_a_flood_is_noted_once_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "_floods", refusals._Floods())
    for _ in range(5):
        refusals.note_flood(address="10.0.0.1", who="erp")
    assert noted() == ("rate_limited", "erp", "10.0.0.1", "", 1)
    monkeypatch.setattr(refusals, "FLOOD_SECONDS", 0.0)
    monkeypatch.setattr(refusals._floods, "seen", {("10.0.0.1", "erp"): (0.0, 4)})
    refusals.note_flood(address="10.0.0.1", who="erp")
    assert noted()[4] == 6


def test_a_record_that_cannot_be_written_does_not_change_the_answer(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "NOTE", refusals.NOTE.replace("integrations_accessrefusal", "nowhere"))
    assert client.get(OPERATIONS).status_code == 401


def test_whoever_may_see_the_record_can_only_look(client: Client) -> None:
    Client().get(OPERATIONS, REMOTE_ADDR="10.1.2.3")
    client.force_login(User.objects.create_superuser("root"))
    page = client.get(LIST)
    assert "10.1.2.3" in page.content.decode()
    assert "no key" in page.content.decode()
    row = AccessRefusal.objects.get()
    assert client.get(f"{LIST}add/").status_code == 403
    assert client.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_others_do_not_see_it(client: Client, ana: User) -> None:
    client.force_login(ana)
    assert client.get(LIST).status_code == 403


def test_the_record_keeps_its_number_of_queries(client: Client, django_assert_max_num_queries: Any) -> None:
    client.force_login(User.objects.create_superuser("root"))
    for number in range(30):
        refusals.note("sign_in", address=f"10.0.0.{number}")
    with django_assert_max_num_queries(8):
        client.get(LIST)
