import gzip
import http.client
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.simulator.conftest import Account
from tests.simulator_process import Simulator

IMPATIENT_SECONDS = 0.5


def statuses(crm: Account, calls: int) -> list[int]:
    return [crm.create_deal(f"opsconsole:{number}").status_code for number in range(calls)]


def test_a_fault_strikes_so_many_times(crm: Account, simulator: Simulator) -> None:
    simulator.fault("answer", status=500, method="POST", times=2)
    assert statuses(crm, 3) == [500, 500, 200]
    assert simulator.ledger()["totals"] == {"calls": 3, "effects": 1}


def test_a_fault_spares_the_first(crm: Account, simulator: Simulator) -> None:
    simulator.fault("answer", status=502, spare=1)
    assert statuses(crm, 3) == [200, 502, 502]


def test_a_share_of_calls_is_the_same_in_each_run(crm: Account, simulator: Simulator) -> None:
    runs = []
    for _ in range(2):
        simulator.reset()
        simulator.fault("answer", status=503, percent=30)
        runs.append(statuses(crm, 40))
    assert runs[0] == runs[1]
    assert 0 < runs[0].count(503) < 40


def test_a_fault_picks_calls_by_what_they_carry(crm: Account, simulator: Simulator) -> None:
    simulator.fault("answer", status=422, service="piperun", path="/v1/deals", payload={"title": "Broken*"})
    simulator.fault("answer", status=418, headers={"X-Kind": "tea"})
    simulator.fault("answer", status=410, query={"cursor": "?*"})
    assert crm.create_deal(title="Broken line").status_code == 422
    assert crm.create_deal(title="Line").status_code == 200
    assert crm.get("users", headers={"x-kind": "tea"}).status_code == 418
    assert crm.get("deals?cursor=old").status_code == 410


def test_a_fault_picks_calls_by_tenant(crm: Account, simulator: Simulator) -> None:
    token = simulator.rotate_token(tenant="north")
    simulator.fault("unauthorized", tenant="north")
    assert crm.get("users").status_code == 200
    assert crm.get("users", headers={"token": token}).status_code == 401


def test_a_fault_ends_with_its_time(crm: Account, simulator: Simulator) -> None:
    simulator.fault("answer", status=500, for_seconds=0.001)
    time.sleep(0.01)
    assert statuses(crm, 1) == [200]
    assert simulator.faults()[0]["over"]


def test_a_fault_can_be_taken_away(crm: Account, simulator: Simulator) -> None:
    first = simulator.fault("answer", status=500)
    second = simulator.fault("answer", status=502)
    simulator.ask("DELETE", f"faults/{first}")
    assert [fault["id"] for fault in simulator.faults()] == [second]
    simulator.clear_faults()
    assert statuses(crm, 1) == [200]


def test_a_chosen_body_and_headers_are_sent_as_they_are(crm: Account, simulator: Simulator) -> None:
    simulator.fault("answer", status=400, body={"error": {"type": "X"}}, answer_headers={"X-Far": "1"}, times=1)
    simulator.fault(
        "answer", status=502, body="<h1>gateway</h1>", answer_headers={"Content-Type": "text/html"}, spare=1
    )
    first, second = crm.get("users"), crm.get("users")
    assert (first.json(), first.headers["X-Far"]) == ({"error": {"type": "X"}}, "1")
    assert (second.text, second.headers["Content-Type"]) == ("<h1>gateway</h1>", "text/html")


@pytest.mark.parametrize(
    ("form", "told"), [("seconds", "7"), ("junk", "in a while"), ("none", None), ("date", "Thu, 01 Jan 1970 00:00:")]
)
def test_429_tells_when_to_come_back_in_many_forms(
    crm: Account, simulator: Simulator, form: str, told: str | None
) -> None:
    seconds = -int(time.time()) if form == "date" else 7
    simulator.fault("rate_limit", retry_after=form, wait_seconds=seconds)
    answer = crm.get("users")
    header = answer.headers.get("Retry-After")
    assert answer.status_code == 429
    assert header == told or (header or "").startswith(told or "nothing")


def test_a_dropped_call_has_no_effect(crm: Account, simulator: Simulator) -> None:
    simulator.fault("drop", times=1)
    with pytest.raises(requests.ConnectionError):
        crm.create_deal()
    assert simulator.entry("opsconsole:1")["effects"] == 0


def test_a_lost_answer_leaves_its_effect(crm: Account, simulator: Simulator) -> None:
    simulator.fault("lose_answer", method="POST", times=1)
    with pytest.raises(requests.ConnectionError, match="reset"):
        crm.create_deal()
    assert [row["reference"] for row in crm.get("deals").json()["data"]] == ["opsconsole:1"]


def test_an_answer_after_the_effect_hides_it(crm: Account, simulator: Simulator) -> None:
    simulator.fault("answer", status=500, after_effect=True, times=1)
    assert crm.create_deal().status_code == 500
    assert simulator.entry("opsconsole:1")["effects"] == 1


@pytest.mark.parametrize(("after_effect", "effects"), [(False, 0), (True, 1)])
def test_a_hanging_call_never_answers(crm: Account, simulator: Simulator, after_effect: bool, effects: int) -> None:
    simulator.fault("hang", after_effect=after_effect)
    with pytest.raises(requests.Timeout):
        crm.post("companies", json={"name": "Acme"}, timeout=IMPATIENT_SECONDS)
    assert simulator.ledger()["totals"]["effects"] == effects


def test_a_slow_call_has_its_effect_though_its_caller_left(crm: Account, simulator: Simulator) -> None:
    simulator.fault("delay", seconds=1)
    with pytest.raises(requests.Timeout):
        crm.post("companies", json={"name": "Acme"}, timeout=IMPATIENT_SECONDS)
    simulator.wait(effects=1)


def test_a_reset_cuts_what_is_still_running(crm: Account, simulator: Simulator) -> None:
    simulator.fault("delay", seconds=60)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(crm.create_deal)
        simulator.wait(in_flight=1)
        simulator.reset()
        with pytest.raises(requests.ConnectionError):
            call.result()
    assert simulator.ledger()["totals"] == {"calls": 0, "effects": 0}


def test_an_answer_drips(crm: Account, simulator: Simulator) -> None:
    simulator.fault("drip", bytes_per_second=20)
    with crm.get("users", stream=True) as answer:
        assert answer.raw.read(1) == b"{"
        assert int(answer.headers["Content-Length"]) > 100


@pytest.mark.parametrize("kind", ["html", "cut", "binary", "empty"])
def test_garbage_is_not_json(crm: Account, simulator: Simulator, kind: str) -> None:
    simulator.fault("garbage", kind=kind)
    with pytest.raises(requests.JSONDecodeError):
        crm.get("users").json()


def test_a_huge_body_comes_in_pieces(crm: Account, simulator: Simulator) -> None:
    simulator.fault("huge", bytes=3_000_000)
    assert len(crm.get("users").content) == 3_000_000


def test_a_gzip_bomb_is_small_on_the_way(crm: Account, simulator: Simulator) -> None:
    simulator.fault("huge", bytes=50_000_000, gzip=True)
    with crm.get("users", stream=True) as answer:
        packed = answer.raw.read(decode_content=False)
    assert len(packed) < 100_000
    assert len(gzip.decompress(packed)) == 50_000_000


def test_headers_without_end_are_more_than_a_client_takes(crm: Account, simulator: Simulator) -> None:
    simulator.fault("endless_headers")
    with pytest.raises((requests.ConnectionError, http.client.HTTPException)):
        crm.get("users")


def test_an_outage_ends_when_it_is_mended(crm: Account, simulator: Simulator) -> None:
    simulator.outage()
    assert crm.get("users").status_code == 503
    simulator.outage(on=False)
    assert crm.get("users").status_code == 200


def test_an_outage_may_cut_every_call(crm: Account, simulator: Simulator) -> None:
    simulator.outage(how="reset")
    with pytest.raises(requests.ConnectionError):
        crm.create_deal()
    assert simulator.ledger()["totals"] == {"calls": 1, "effects": 0}


def test_calls_beyond_the_rate_are_refused(crm: Account, simulator: Simulator) -> None:
    simulator.conditions(rate_per_second=0.001, burst=2, retry_after_seconds=9)
    answers = [crm.get("users") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["Retry-After"] == "9"


def test_latency_holds_calls_before_and_after_the_effect(crm: Account, simulator: Simulator) -> None:
    simulator.conditions(latency={"p50_seconds": 0.01, "p95_seconds": 0.02})
    assert crm.create_deal().ok
    [call] = simulator.requests(method="POST")
    assert call["settled_at"] > call["at"]
