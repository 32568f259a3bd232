"""The faults that stand now, and how far each of them is."""

import time
from dataclasses import dataclass
from random import Random
from typing import Any

from apps.simulator.calls import Call
from apps.simulator.faults import ANY_FAULT, Fault
from apps.simulator.store import Store

KIND = "faults"


@dataclass
class Standing:
    """A fault that was set."""

    id: str
    fault: Fault
    random: Random
    until: float | None
    met: int = 0
    hits: int = 0

    def strikes(self, call: Call) -> bool:
        """Whether it strikes a call that it meets; counts. The n-th one is decided alike in each run of a seed."""
        self.met += 1
        struck = self.random.random() * 100 < self.fault.percent and self.met > self.fault.spare
        self.hits += struck
        return struck

    def over(self) -> bool:
        """Whether its times are used up or its time has come."""
        used_up = self.fault.times is not None and self.hits >= self.fault.times
        return used_up or (self.until is not None and time.time() >= self.until)

    def counts(self) -> dict[str, Any]:
        """How far it is."""
        return {"met": self.met, "hits": self.hits, "until": self.until}

    def described(self) -> dict[str, Any]:
        """How far it is, and how it was set."""
        return {"id": int(self.id), "over": self.over(), **self.counts(), **self.fault.model_dump(exclude_unset=True)}


class Faults:
    """All of them, in the order in which they were set."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.seed = store, seed
        self.standing: dict[str, Standing] = {}
        for id, body in store.kept(KIND).items():
            self._bring_back(id, body)
        self.serial = max(map(int, self.standing), default=0)

    def add(self, fault: Fault) -> Standing:
        """Set one from now on."""
        self.serial += 1
        until = None if fault.for_seconds is None else time.time() + fault.for_seconds
        return self._keep(self._stand(str(self.serial), fault, until))

    def striking(self, call: Call) -> list[Standing]:
        """Those that strike this call; the call bears their numbers."""
        met = [one for one in self.standing.values() if not one.over() and one.fault.meets(call)]
        struck = [one for one in met if one.strikes(call)]
        for one in met:
            self._keep(one)
        call.faults += [one.id for one in struck]
        return struck

    def clear(self, id: str | None = None) -> int:
        """Take one away, or all; returns how many."""
        gone = [id] if id in self.standing else [] if id else list(self.standing)
        for one in gone:
            del self.standing[one]
            self.store.forget(KIND, one)
        return len(gone)

    def _stand(self, id: str, fault: Fault, until: float | None) -> Standing:
        random = Random(f"{self.seed}:fault:{id}")  # noqa: S311 # repeatable on purpose
        self.standing[id] = Standing(id, fault, random, until)
        return self.standing[id]

    def _keep(self, one: Standing) -> Standing:
        self.store.keep(KIND, one.id, one.counts() | {"fault": one.fault.model_dump(mode="json", exclude_unset=True)})
        return one

    def _bring_back(self, id: str, body: dict[str, Any]) -> None:
        one = self._stand(id, ANY_FAULT.validate_python(body["fault"]), body["until"])
        one.met, one.hits = body["met"], body["hits"]
        for _ in range(one.met):  # the draws already made
            one.random.random()
