import requests

from tests.simulator_process import Simulator


def post(simulator: Simulator, key: str = "op-1", header: str = "Idempotency-Key", **body: object) -> requests.Response:
    return requests.post(simulator.http("erp") + "/orders", json=body, headers={header: key}, timeout=10)


def test_a_key_seen_before_gets_the_first_answer(simulator: Simulator) -> None:
    first, second = post(simulator, number=1), post(simulator, number=1)
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert simulator.ledger()["totals"] == {"calls": 2, "effects": 1}


def test_a_quoted_key_is_the_bare_one(simulator: Simulator) -> None:
    assert post(simulator, '"op-1"').json() == post(simulator, "op-1").json()


def test_a_webhook_id_counts_as_a_key(simulator: Simulator) -> None:
    assert post(simulator, header="webhook-id").json() == post(simulator, header="webhook-id").json()


def test_a_key_used_for_another_body_is_refused(simulator: Simulator) -> None:
    post(simulator, number=1)
    assert post(simulator, number=2).status_code == 422


def test_a_receiver_that_honours_no_keys_shows_the_double(simulator: Simulator) -> None:
    simulator.conditions("erp", honours_keys=False)
    post(simulator)
    post(simulator)
    assert [(double["subject"], double["created"]) for double in simulator.ledger()["doubles"]] == [("op-1", 2)]


def test_a_look_has_no_effect(simulator: Simulator) -> None:
    assert requests.get(simulator.http("erp"), timeout=10).json()["status"] == "ok"
    assert simulator.ledger()["totals"] == {"calls": 1, "effects": 0}


def test_it_checks_a_token_where_told(simulator: Simulator) -> None:
    simulator.conditions("erp", checks_token=True)
    token = simulator.rotate_token("erp")
    url = simulator.http("erp")
    assert requests.get(url, timeout=10).status_code == 401
    assert requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10).ok


def test_every_answer_says_that_it_is_simulated(simulator: Simulator) -> None:
    paths = ("/", "/piperun/v1/deals", "/http/erp", "/http/piperun", "/__sim__/state", "/no/such/page")
    answers = [requests.get(simulator.url + path, timeout=10) for path in paths]
    assert [answer.headers.get("X-Simulated") for answer in answers] == ["1"] * len(paths)
