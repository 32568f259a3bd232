import pytest
import requests

from tests.simulator.conftest import Account
from tests.simulator_process import Simulator


def test_a_created_deal_is_read_back_with_its_custom_fields(crm: Account) -> None:
    made = crm.create_deal(custom_fields=[{"id": 1, "value": "X"}]).json()
    deal = crm.get(f"deals/{made['data']['id']}").json()["data"]
    assert made["success"] is True
    assert (deal["reference"], deal["custom_fields"]) == ("opsconsole:1", [{"id": 1, "value": "X"}])


def test_a_deal_without_stage_gets_the_vendors_422(crm: Account) -> None:
    answer = crm.post("deals", json={"title": "Line X", "pipeline_id": 1})
    assert answer.status_code == 422
    assert answer.json()["success"] is False
    assert list(answer.json()["data"]) == ["stage_id"]


def test_a_note_needs_something_to_hang_on(crm: Account) -> None:
    assert list(crm.post("notes", json={"text": "hello"}).json()["data"]) == ["deal_id"]
    assert crm.post("notes", json={"text": "hello", "deal_id": 1}).ok


def test_a_second_person_of_a_cpf_is_refused(crm: Account) -> None:
    crm.post("persons", json={"name": "Ana", "cpf": "529.982.247-25"})
    answer = crm.post("persons", json={"name": "Ana Lima", "cpf": "529.982.247-25"})
    assert answer.status_code == 422
    assert "já existe" in answer.json()["data"]["cpf"][0]


def test_a_company_comes_back_as_a_list_of_one(crm: Account) -> None:
    assert [row["name"] for row in crm.post("companies", json={"name": "Acme"}).json()["data"]] == ["Acme"]


def test_activities_spell_success_their_own_way(crm: Account) -> None:
    body = crm.post("activities", json={"activity_type_id": 1, "status": 0, "owner_id": 5}).json()
    assert body["sucess"] is True
    assert "success" not in body


def test_an_update_changes_what_it_names_and_nothing_else(crm: Account) -> None:
    id = crm.create_deal().json()["data"]["id"]
    deal = crm.put(f"deals/{id}", json={"status": 1}).json()["data"]
    assert (deal["status"], deal["title"]) == (1, "Line X")
    assert deal["closed_at"] is not None


@pytest.mark.parametrize("path", ["deals/99", "deals/x", "deals/²", "nothing"])
def test_what_is_not_there_is_404(crm: Account, path: str) -> None:
    assert crm.get(path).status_code == 404


def test_a_deleted_deal_is_gone(crm: Account) -> None:
    id = crm.create_deal().json()["data"]["id"]
    assert crm.delete(f"deals/{id}").status_code == 204
    assert crm.get(f"deals/{id}").status_code == 404
    assert crm.get("deals").json()["data"] == []


def test_two_creates_with_one_reference_make_two_deals(crm: Account) -> None:
    crm.create_deal()
    crm.create_deal()
    assert len(crm.get("deals?reference=opsconsole:1").json()["data"]) == 2


def test_the_reference_filters(crm: Account) -> None:
    for number in range(3):
        crm.create_deal(f"opsconsole:{number}")
    assert [row["reference"] for row in crm.get("deals?reference=opsconsole:1").json()["data"]] == ["opsconsole:1"]


def test_the_reference_filter_can_be_switched_off(crm: Account, simulator: Simulator) -> None:
    simulator.conditions(reference_filter=False)
    for number in range(3):
        crm.create_deal(f"opsconsole:{number}")
    assert len(crm.get("deals?reference=opsconsole:1").json()["data"]) == 3


def test_cursors_lead_through_all_rows_once(crm: Account) -> None:
    for number in range(7):
        crm.create_deal(f"opsconsole:{number}")
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        body = crm.get(f"deals?show=3&sort=title&desc=true&cursor={cursor}").json()
        seen += [row["id"] for row in body["data"]]
        cursor = body["meta"]["cursor"]["next"]
    assert sorted(seen) == list(range(1, 8))


def test_numbered_pages_say_how_many_there_are(crm: Account) -> None:
    for number in range(5):
        crm.create_deal(f"opsconsole:{number}")
    body = crm.get("deals?show=2&page=3").json()
    assert [row["id"] for row in body["data"]] == [5]
    assert {name: body["meta"][name] for name in ("total", "current_page", "total_pages")} == {
        "total": 5,
        "current_page": 3,
        "total_pages": 3,
    }


def test_show_is_clamped_to_200(crm: Account) -> None:
    assert crm.get("deals?show=5000").json()["meta"]["per_page"] == 200


@pytest.mark.parametrize("query", ["cursor=%C3%A9", "cursor=abc", "show=x", "page=x"])
def test_a_dead_cursor_or_a_bad_number_is_refused(crm: Account, query: str) -> None:
    assert crm.get(f"deals?{query}").status_code == 422


def test_the_time_window_finds_what_was_updated_in_it(crm: Account) -> None:
    crm.create_deal()
    assert len(crm.get("deals?updated_at_start=2020-01-01 00:00:00").json()["data"]) == 1
    assert crm.get("deals?updated_at_start=2999-01-01 00:00:00").json()["data"] == []


def test_fields_of_any_type_do_not_upset_the_filters(crm: Account) -> None:
    crm.create_deal(closed_at=7, title=["a"], person_id={"a": 1})
    assert crm.get("deals?closed_at_start=2020&title=x&person_id=1&sort=title").json()["data"] == []


@pytest.mark.parametrize("body", ["", "{", "[]", "NaN", "[" * 100_000, '{"title": "\\ud800"}'])
def test_a_hostile_body_is_a_refusal(crm: Account, body: str) -> None:
    assert crm.post("deals", data=body).status_code in (400, 422)


def test_text_of_any_kind_is_kept(crm: Account) -> None:
    crm.create_deal("a\x00b\ud800", title="José <b>")
    assert crm.get("deals/1").json()["data"]["title"] == "José <b>"


@pytest.mark.parametrize("token", ["", "nobody's"])
def test_a_wrong_token_is_401(simulator: Simulator, token: str) -> None:
    answer = requests.get(f"{simulator.piperun}/users?show=1", headers={"token": token}, timeout=10)
    assert answer.status_code == 401
    assert answer.json()["success"] is False


def test_the_probe_names_one_user(crm: Account) -> None:
    assert len(crm.get("users?show=1").json()["data"]) == 1


def test_a_rotation_kills_the_old_token(crm: Account, simulator: Simulator) -> None:
    new = simulator.rotate_token()
    assert crm.get("users").status_code == 401
    assert crm.get("users", headers={"token": new}).ok
