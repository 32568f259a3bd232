"""All that is played: the services with their vendors and weather, the faults, the tokens, the ledger."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from apps.simulator.conditions import Conditions, Weather
from apps.simulator.ledger import Ledger
from apps.simulator.standing import Faults
from apps.simulator.store import Store
from apps.simulator.tokens import Tokens
from apps.simulator.vendors import Vendor
from apps.simulator.vendors.erp import Erp
from apps.simulator.vendors.http import HTTPReceiver
from apps.simulator.vendors.internal import NAMES, Internal
from apps.simulator.vendors.piperun import Piperun

VENDORS: dict[str, Callable[[str, Store, Ledger, Weather], Vendor]] = {"piperun": Piperun, "millennium": Erp}
"""Services of others with a shape of their own; any other name but those of `NAMES` is an `HTTPReceiver`."""


@dataclass
class Service:
    """One played service."""

    name: str
    weather: Weather
    vendor: Vendor


class World:
    """What stands while the process lives; the store brings it back after a kill."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.seed = store, seed
        self.running: set[asyncio.Task[Any]] = set()
        self._begin()

    def service(self, name: str) -> Service:
        """The service of that name; a receiver comes into being with its first call."""
        if name not in self.services:
            kept = self.store.kept("conditions").get(name, {"checks_token": name in VENDORS})
            weather = Weather(Conditions.model_validate(kept), f"{self.seed}:weather:{name}")
            vendor = _vendor(name)(name, self.store, self.ledger, weather)
            self.services[name] = Service(name, weather, vendor)
        return self.services[name]

    def set_conditions(self, name: str, changes: dict[str, Any]) -> Conditions:
        """Change what is named, keep the rest. Raises pydantic's ValidationError."""
        weather = self.service(name).weather
        conditions = Conditions.model_validate(weather.conditions.model_dump() | changes)
        weather.set(conditions)
        self.store.keep("conditions", name, conditions.model_dump())
        return conditions

    @contextmanager
    def cut_by_reset(self) -> Iterator[None]:
        """What runs inside ends with this world."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("needs a running loop")
        self.running.add(task)
        try:
            yield
        finally:
            self.running.discard(task)

    def reset(self) -> None:
        """As on the first day. Calls still running are cut off, lest they act in the new world."""
        for task in self.running:
            task.cancel()
        self.store.wipe()
        self._begin()

    def _begin(self) -> None:
        self.ledger = Ledger(self.store)
        self.tokens = Tokens(self.store, self.seed)
        self.faults = Faults(self.store, self.seed)
        self.services: dict[str, Service] = {}
        for name in VENDORS:
            self.tokens.of(name)
        for name in (*VENDORS, *NAMES, *self.store.kept("conditions")):
            self.service(name)


def _vendor(name: str) -> Callable[[str, Store, Ledger, Weather], Vendor]:
    return Internal if name in NAMES else VENDORS.get(name, HTTPReceiver)


WORLD = web.AppKey("world", World)
