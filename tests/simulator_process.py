"""The simulator as a process of its own, and the few words by which tests speak to it.

`simulator` is a clean far end for each test: `simulator.piperun` and `simulator.http("erp")` are base URLs.
"""

import ctypes
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 30


class Simulator:
    """One process. `start` after `kill` brings it back on its port, with what it had done."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.folder, self.seed, self.port = folder, seed, 0
        self.session = requests.Session()
        self.session.trust_env = False
        self.start()

    # The process

    def start(self) -> None:
        command = [sys.executable, "-m", "apps.simulator", "--port", str(self.port), "--data", str(self.folder)]
        command += ["--seed", str(self.seed)]
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=_die_with_parent
        )
        assert self.process.stdout
        line = self.process.stdout.readline().strip()
        assert line.startswith("Simulator on "), f"the simulator did not start: {line!r}"
        self.url = line.removeprefix("Simulator on ")
        self.port = int(self.url.rsplit(":", 1)[1])

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(PATIENCE_SECONDS)
        if self.process.stdout:
            self.process.stdout.close()
        self.session.close()

    # Where it is called

    @property
    def piperun(self) -> str:
        """The base URL of Piperun's API."""
        return f"{self.url}/piperun/v1"

    def http(self, name: str) -> str:
        """The base URL of a generic receiver."""
        return f"{self.url}/http/{name}"

    @property
    def erp(self) -> str:
        """The base URL of the tenants' ERP."""
        return f"{self.url}/millennium/api/millenium_eco"

    def internal(self, name: str) -> str:
        """The base URL of one of the company's own systems."""
        return f"{self.url}/internal/{name}"

    def token(self, service: str = "piperun", tenant: str = "") -> str:
        """The token that is alive."""
        tokens = self.ask("GET", "tokens")["tokens"]
        return str(next(one["token"] for one in tokens if (one["service"], one["tenant"]) == (service, tenant)))

    # What it is to do

    def reset(self) -> None:
        self.ask("POST", "reset", {})

    def fault(self, effect: str, **fault: Any) -> int:
        """Set a fault, as in docs/simulator.md: `fault("answer", status=500, method="POST", times=3)`. Its number."""
        return int(self.ask("POST", "faults", {"effect": effect, **fault})["id"])

    def faults(self) -> list[dict[str, Any]]:
        """Those that stand, with `met`, `hits` and `over`."""
        return list(self.ask("GET", "faults")["faults"])

    def clear_faults(self) -> None:
        self.ask("DELETE", "faults")

    def outage(self, service: str = "piperun", on: bool = True, how: str = "unavailable") -> None:
        """Down (`how`: unavailable, reset, hang), or up again."""
        self.ask("POST", "outage", {"service": service, "on": on, "how": how})

    def rotate_token(self, service: str = "piperun", tenant: str = "") -> str:
        """The old one is dead at once; the new one."""
        return str(self.ask("POST", "tokens", {"service": service, "tenant": tenant})["token"])

    def conditions(self, service: str = "piperun", **changes: Any) -> None:
        """latency, rate_per_second, burst, retry_after_seconds, checks_token, reference_filter, honours_keys."""
        self.ask("PATCH", f"services/{service}", changes)

    def erp_of(self, tenant: str, **how: Any) -> dict[str, Any]:
        """What a tenant's ERP holds and how it behaves, as in docs/simulator.md: `erp_of("acme", customers=1000)`."""
        return self.ask("POST", "erp", {"tenant": tenant, **how})

    def changes_of(self, service: str, **how: Any) -> dict[str, Any]:
        """What one of the company's own systems tells of: `changes_of("crm", count=50, touch=[3])`."""
        return self.ask("POST", "changes", {"service": service, **how})

    def send_events(self, url: str, **how: Any) -> dict[str, Any]:
        """Send events to a door, as in docs/simulator.md; `sent`, `answers`, `duplicates` and who was `accepted`."""
        answer = self.session.post(f"{self.url}/__sim__/events", json={"url": url, **how}, timeout=600)
        assert answer.ok, answer.text
        return dict(answer.json())

    # What it has seen

    def ledger(self, service: str = "", by: str = "reference") -> dict[str, Any]:
        """`totals`, `doubles`, and `entries` by operation: calls, lookups, effects, created, keys, records."""
        return self.ask("GET", "ledger", params={"service": service, "by": by})

    def entry(self, reference: str) -> dict[str, Any]:
        """The ledger's entry of one operation."""
        [entry] = self.ask("GET", "ledger", params={"reference": reference})["entries"]
        return dict(entry)

    def requests(self, **filters: Any) -> list[dict[str, Any]]:
        """The calls in order; by service, method, path (glob), tenant, reference, after, limit."""
        return list(self.ask("GET", "requests", params=filters)["requests"])

    def pace(self, service: str = "", method: str = "") -> dict[str, Any]:
        """`seconds`, each with its calls, and the `peak`."""
        return self.ask("GET", "pace", params={"service": service, "method": method})

    def wait(self, service: str = "", **numbers: int) -> None:
        """Until it has seen so many `calls` or `effects`, or has so many `in_flight`."""
        asked = {"service": service, "seconds": PATIENCE_SECONDS, **numbers}
        counts = self.ask("GET", "wait", params=asked)
        assert counts["reached"], f"waited for {numbers}, saw {counts}"

    def ask(self, method: str, door: str, body: object = None, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Knock at the control door."""
        url = f"{self.url}/__sim__/{door}"
        answer = self.session.request(method, url, json=body, params=params, timeout=PATIENCE_SECONDS + 5)
        assert answer.ok, answer.text
        return dict(answer.json())


def _die_with_parent() -> None:
    """A killed test run leaves no simulator behind (Linux; elsewhere the fixture alone stops it)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@pytest.fixture(scope="session")
def simulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """One for the whole session: use `simulator`, unless a test kills it."""
    process = Simulator(tmp_path_factory.mktemp("simulator"))
    yield process
    process.stop()


@pytest.fixture
def simulator(simulator_process: Simulator) -> Simulator:
    """The simulator with nothing in it."""
    simulator_process.reset()
    return simulator_process
