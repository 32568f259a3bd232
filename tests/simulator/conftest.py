from collections.abc import Iterator

import pytest
import requests

from tests.simulator_process import Simulator


class Account(requests.Session):
    """Piperun as a client with the right token sees it: paths instead of URLs."""

    def __init__(self, simulator: Simulator) -> None:
        super().__init__()
        self.trust_env = False
        self.base = simulator.piperun
        self.headers["token"] = simulator.token()

    def request(self, method: str | bytes, url: str | bytes, *args: object, **kwargs: object) -> requests.Response:
        kwargs.setdefault("timeout", 10)
        return super().request(method, f"{self.base}/{url!s}", *args, **kwargs)  # type: ignore[arg-type] # passed on

    def create_deal(self, reference: str = "opsconsole:1", **fields: object) -> requests.Response:
        deal = {"title": "Line X", "pipeline_id": 1, "stage_id": 10, "reference": reference}
        return self.post("deals", json=deal | fields)


@pytest.fixture
def crm(simulator: Simulator) -> Iterator[Account]:
    with Account(simulator) as account:
        yield account
