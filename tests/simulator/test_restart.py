import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulator.conftest import Account
from tests.simulator_process import ROOT, Simulator


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path / "far end")
    yield simulator
    simulator.stop()


def test_a_kill_forgets_no_effect(mortal: Simulator) -> None:
    with Account(mortal) as crm:
        crm.create_deal()
        mortal.kill()
        mortal.start()
        crm.create_deal()
        assert len(crm.get("deals?reference=opsconsole:1").json()["data"]) == 2
    assert mortal.entry("opsconsole:1")["created"] == 2


def test_a_kill_forgets_no_answer_given_for_a_key(mortal: Simulator) -> None:
    with Account(mortal) as account:
        account.base, headers = mortal.http("erp"), {"Idempotency-Key": "op-1"}
        first = account.post("orders", json={}, headers=headers)
        mortal.kill()
        mortal.start()
        assert account.post("orders", json={}, headers=headers).content == first.content
    assert mortal.ledger()["totals"] == {"calls": 2, "effects": 1}


def test_faults_tokens_and_outages_outlive_a_kill(mortal: Simulator) -> None:
    mortal.rotate_token()
    mortal.fault("answer", status=500, times=3)
    mortal.outage()
    before = (mortal.token(), mortal.faults(), mortal.ask("GET", "services/piperun"))
    mortal.kill()
    mortal.start()
    assert (mortal.token(), mortal.faults(), mortal.ask("GET", "services/piperun")) == before


def refusal(*options: str, **environment: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "apps.simulator", *options],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_folder_in_use_is_a_sentence(mortal: Simulator) -> None:
    assert "Another simulator uses" in refusal("--port", "0", "--data", str(mortal.folder))


def test_a_port_in_use_is_a_sentence(simulator: Simulator, tmp_path: Path) -> None:
    assert f"Port {simulator.port} is in use" in refusal("--port", str(simulator.port), "--data", str(tmp_path))


def test_it_answers_on_loopback_only(tmp_path: Path) -> None:
    assert "loopback only" in refusal("--port", "0", "--data", str(tmp_path), "--host", "0.0.0.0")  # noqa: S104 - refused


def test_it_does_not_start_in_production(tmp_path: Path) -> None:
    assert "OPS_ENV=production" in refusal("--port", "0", "--data", str(tmp_path), OPS_ENV="production")
