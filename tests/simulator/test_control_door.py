import pytest
import requests

from tests.simulator_process import Simulator


@pytest.mark.parametrize(
    ("fault", "field"),
    [
        ({}, ""),
        ({"effect": "explode"}, ""),
        ({"effect": "answer"}, "answer.status"),
        ({"effect": "answer", "status": 99}, "answer.status"),
        ({"effect": "answer", "status": 400, "answer_headers": {"X": "a\r\nY: b"}}, "answer.answer_headers.X"),
        ({"effect": "hang", "tittle": "x"}, "hang.tittle"),
        ({"effect": "drop", "percent": 0}, "drop.percent"),
        ({"effect": "delay"}, "delay"),
        ({"effect": "lose_answer", "after_effect": False}, "lose_answer.after_effect"),
    ],
)
def test_a_wrong_fault_is_refused_by_field(simulator: Simulator, fault: dict[str, object], field: str) -> None:
    answer = requests.post(f"{simulator.url}/__sim__/faults", json=fault, timeout=10)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert simulator.faults() == []


@pytest.mark.parametrize("body", ["{", '{"effect": NaN}', "[" * 100_000, "\x00"])
def test_a_body_that_is_not_json_is_refused(simulator: Simulator, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{simulator.url}/__sim__/faults", data=body, headers=headers, timeout=10)
    assert answer.status_code in (400, 422)
    assert answer.json()["detail"]


def test_a_form_of_another_page_cannot_press_the_buttons(simulator: Simulator) -> None:
    answer = requests.post(f"{simulator.url}/__sim__/reset", data={"x": "1"}, timeout=10)
    assert answer.status_code == 400
    assert "application/json" in answer.json()["detail"]


def test_a_name_that_is_not_loopback_is_refused(simulator: Simulator) -> None:
    answer = requests.get(f"{simulator.url}/__sim__/tokens", headers={"Host": "evil.example"}, timeout=10)
    assert answer.status_code == 403


def test_unknown_conditions_and_filters_are_refused(simulator: Simulator) -> None:
    conditions = requests.patch(f"{simulator.url}/__sim__/services/erp", json={"speed": 1}, timeout=10)
    requests_asked = requests.get(
        f"{simulator.url}/__sim__/requests?limit=0&colour=red&after=99999999999999999999", timeout=10
    )
    assert [error["field"] for error in conditions.json()["errors"]] == ["speed"]
    assert {error["field"] for error in requests_asked.json()["errors"]} == {"limit", "colour", "after"}


def test_a_change_of_conditions_keeps_the_others(simulator: Simulator) -> None:
    simulator.conditions("erp", rate_per_second=50)
    simulator.conditions("erp", honours_keys=False)
    conditions = simulator.ask("GET", "services/erp")["conditions"]
    assert (conditions["rate_per_second"], conditions["honours_keys"]) == (50, False)


def test_a_token_may_be_given(simulator: Simulator) -> None:
    simulator.ask("POST", "tokens", {"service": "piperun", "token": "0123456789abcdef"})
    assert simulator.token() == "0123456789abcdef"


def test_a_wait_that_is_not_rewarded_says_so(simulator: Simulator) -> None:
    answer = simulator.ask("GET", "wait", params={"calls": 1, "seconds": 0.05})
    assert answer == {"reached": False, "calls": 0, "effects": 0, "in_flight": 0}
