import hashlib

import requests

from tests.simulator.conftest import Account
from tests.simulator_process import Simulator


def test_calls_effects_and_keys_are_counted_per_operation(crm: Account, simulator: Simulator) -> None:
    simulator.fault("answer", status=500, method="POST", times=1)
    crm.create_deal()
    crm.get("deals?reference=opsconsole:1")
    crm.create_deal()
    entry = simulator.entry("opsconsole:1")
    assert {name: entry[name] for name in ("calls", "lookups", "effects", "keys", "records")} == {
        "calls": 2,
        "lookups": 1,
        "effects": 1,
        "keys": 1,
        "records": ["deals/1"],
    }


def test_a_double_is_listed(crm: Account, simulator: Simulator) -> None:
    crm.create_deal()
    crm.create_deal()
    crm.create_deal("opsconsole:2")
    [double] = simulator.ledger()["doubles"]
    assert (double["subject"], double["records"]) == ("opsconsole:1", ["deals/1", "deals/2"])


def test_a_repeated_update_is_no_double(crm: Account, simulator: Simulator) -> None:
    crm.create_deal()
    for _ in range(2):
        crm.put("deals/1", json={"status": 1}, headers={"Idempotency-Key": "opsconsole:2"})
    assert simulator.ledger()["doubles"] == []
    assert simulator.entry("opsconsole:2")["effects"] == 2


def test_a_second_key_for_one_thing_shows_when_grouped_by_a_field(crm: Account, simulator: Simulator) -> None:
    crm.create_deal("opsconsole:1", title="Line 7")
    crm.create_deal("opsconsole:2", title="Line 7")
    [entry] = simulator.ledger(by="title")["entries"]
    assert (entry["subject"], entry["keys"], entry["created"]) == ("Line 7", 2, 2)


def test_recorded_calls_keep_bodies_and_hash_secrets(crm: Account, simulator: Simulator) -> None:
    crm.create_deal()
    crm.get("users?token=abc")
    first, second = simulator.requests(service="piperun")
    token = hashlib.sha256(simulator.token().encode()).hexdigest()[:12]
    assert (first["headers"]["token"], first["payload"]["reference"]) == (f"sha256:{token}", "opsconsole:1")
    assert second["query"]["token"].startswith("sha256:")


def test_recorded_calls_are_found_by_path_and_reference(crm: Account, simulator: Simulator) -> None:
    crm.create_deal()
    crm.get("users")
    assert [call["path"] for call in simulator.requests(path="/v1/u*")] == ["/v1/users"]
    assert [call["method"] for call in simulator.requests(reference="opsconsole:1")] == ["POST"]


def test_a_recorded_call_names_its_faults(crm: Account, simulator: Simulator) -> None:
    id = simulator.fault("answer", status=500)
    crm.get("users")
    [call] = simulator.requests()
    assert (call["status"], call["faults"]) == (500, [id])


def test_calls_are_counted_by_the_second(simulator: Simulator) -> None:
    for number in range(5):
        requests.post(simulator.http("erp"), json={"number": number}, timeout=10)
    pace = simulator.pace("erp")
    assert sum(second["calls"] for second in pace["seconds"]) == 5
    assert 1 <= pace["peak"] <= 5
