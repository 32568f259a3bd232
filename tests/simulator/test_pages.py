import requests

from tests.simulator.conftest import Account
from tests.simulator_process import Simulator


def page(simulator: Simulator, path: str) -> str:
    answer = requests.get(simulator.url + path, timeout=10)
    assert "style-src 'self'" in answer.headers["Content-Security-Policy"]
    return answer.text


def test_a_deals_page_tells_its_story(crm: Account, simulator: Simulator) -> None:
    simulator.fault("answer", status=500, method="POST", times=1)
    crm.create_deal()
    crm.create_deal()
    assert "1 deal, 2 calls, the same key" in page(simulator, "/piperun/deals/1")


def test_a_deals_page_tells_its_changes_too(crm: Account, simulator: Simulator) -> None:
    crm.create_deal()
    crm.put("deals/1", json={"status": 1}, headers={"Idempotency-Key": "opsconsole:2"})
    assert "1 change, 1 call, the same key" in page(simulator, "/piperun/deals/1")


def test_a_double_leads_from_one_deal_to_the_other(crm: Account, simulator: Simulator) -> None:
    crm.create_deal()
    crm.create_deal()
    shown = page(simulator, "/piperun/deals/1")
    assert "2 deals, 2 calls, the same key" in shown
    assert 'href="/piperun/deals/2"' in shown


def test_pages_say_that_a_simulator_answers_and_escape_what_they_show(crm: Account, simulator: Simulator) -> None:
    crm.create_deal(title="<script>alert(1)</script>")
    for path in ("/", "/piperun/deals/1"):
        shown = page(simulator, path)
        assert "A simulator answers here" in shown
        assert "<script" not in shown


def test_pages_stay_up_in_an_outage(simulator: Simulator) -> None:
    simulator.outage(how="reset")
    assert "down (reset)" in page(simulator, "/")


def test_a_deal_that_is_not_there_is_404(simulator: Simulator) -> None:
    assert requests.get(f"{simulator.url}/piperun/deals/7", timeout=10).status_code == 404
