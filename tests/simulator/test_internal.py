import pytest
import requests

from apps.simulator.vendors.internal import NAMES
from tests.simulator_process import Simulator


def url(simulator: Simulator, name: str, path: str = "/api/events") -> str:
    return f"{simulator.url}/internal/{name}{path}"


def send(simulator: Simulator, name: str, id: str = "evt-1", **event: object) -> requests.Response:
    return requests.post(url(simulator, name), json=event, headers={"X-Event-ID": id}, timeout=10)


def test_every_system_that_runbook_1_names_is_there(simulator: Simulator) -> None:
    told = {name: requests.get(url(simulator, name, "/health"), timeout=10).json()["service"] for name in NAMES}
    assert told == {name: f"carinho-{name}" for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_an_event_is_taken_in_once_under_its_id(simulator: Simulator, name: str) -> None:
    first, second = send(simulator, name, type="lead.created"), send(simulator, name, type="lead.created")
    assert (first.status_code, first.content) == (201, second.content)
    assert simulator.ledger(service=name)["totals"] == {"calls": 2, "effects": 1}


@pytest.mark.parametrize("name", ["crm", "whatsapp"])
def test_each_has_its_own_faults(simulator: Simulator, name: str) -> None:
    simulator.outage(name)
    assert (send(simulator, name).status_code, send(simulator, "site").status_code) == (503, 201)
    simulator.outage(name, on=False)
    simulator.fault("answer", service=name, status=422)
    assert send(simulator, name).status_code == 422


def test_whatsapp_says_whether_it_is_connected(simulator: Simulator) -> None:
    assert requests.get(url(simulator, "whatsapp", "/status"), timeout=10).json()["connected"] is True


@pytest.mark.parametrize(("path", "status"), [("/nonsense", 404), ("/health", 405), ("", 404)])
def test_what_is_not_there_is_refused_and_has_no_effect(simulator: Simulator, path: str, status: int) -> None:
    assert requests.post(url(simulator, "site", path), json={}, timeout=10).status_code == status
    assert simulator.ledger(service="site")["totals"]["effects"] == 0


def test_no_receiver_has_the_name_of_one(simulator: Simulator) -> None:
    assert requests.get(simulator.http("site"), timeout=10).status_code == 404
