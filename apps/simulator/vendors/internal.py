"""The company's own systems, as runbook 1 names them: each takes events in under their id and says how it is."""

from pydantic import BaseModel, ConfigDict, Field

from apps.simulator.calls import Answer, Call
from apps.simulator.conditions import Weather
from apps.simulator.ledger import Ledger
from apps.simulator.store import Store
from apps.simulator.vendors.http import HTTPReceiver
from apps.simulator.vendors.numbered import Listed, Numbered

NAMES = (
    *("crm", "operacao", "financeiro", "cuidadores", "atendimento", "marketing", "site", "documentos", "whatsapp"),
)
EVENTS, CHANGES = "/api/events", "/api/changes"
KIND = "changes"
TOLD = {"operacao": "visit", "cuidadores": "carer", "financeiro": "payment", "crm": "deal"}
"""What the records are that each tells of."""
MOST = 500


class ChangesAsked(BaseModel):
    """How many records a system has, and which of them change now; a number that is not there yet comes anew."""

    model_config = ConfigDict(extra="forbid")

    service: str = Field(pattern=f"^({'|'.join(NAMES)})$")
    count: int | None = Field(None, ge=0, le=1_000_000)
    touch: list[int] = []


class Internal(HTTPReceiver):
    """One of them: events by `POST /api/events`, what changed by `GET /api/changes`, health by `GET /health`."""

    def __init__(self, name: str, store: Store, ledger: Ledger, weather: Weather) -> None:
        super().__init__(name, store, ledger, weather)
        kept = store.kept(KIND).get(name)
        self.records = Numbered.of(kept) if kept else Numbered()

    def change(self, asked: ChangesAsked) -> dict[str, object]:
        """Set how many records there are, or change some."""
        if asked.count is not None:
            self.records = Numbered(asked.count)
        for number in asked.touch:
            self.records.touch(number)
        self.store.keep(KIND, self.name, self.records.kept())
        return {"service": self.name, **self.records.kept()}

    def answer(self, call: Call) -> Answer:
        """Take an event in, or say how it is."""
        if self.weather.conditions.checks_token and not call.known:
            return self.error(401, "Unauthorized")
        match call.method, call.path.rstrip("/"):
            case (("GET" | "HEAD"), "/health"):
                return Answer(200, {"status": "ok", "service": f"carinho-{self.name}"})
            case "GET", "/status" if self.name == "whatsapp":
                return Answer(200, {"connected": True, "session": True, "smartphoneConnected": True})
            case "GET", path if path == CHANGES:
                return self._changed(call)
            case "GET", path if path.startswith(f"{CHANGES}/"):
                return self._one(path.removeprefix(f"{CHANGES}/"))
            case "POST", path if path == EVENTS:
                return super().answer(call)
            case _, path if path in (EVENTS, CHANGES, "/health"):
                return self.error(405, "Method Not Allowed")
        return self.error(404, "Not Found")

    def _changed(self, call: Call) -> Answer:
        """The records behind a sequence number, in its order."""
        told = {name: call.query.get(name, default) for name, default in (("after", "0"), ("limit", "100"))}
        if not all(text.isascii() and text.isdecimal() and len(text) < 18 for text in told.values()):
            return self.error(422, "after and limit are whole numbers.")
        found = self.records.after(int(told["after"]), min(int(told["limit"]), MOST))
        return Answer(200, {"data": [self._record(one) for one in found]})

    def _one(self, id: str) -> Answer:
        number = id.rpartition("-")[2]
        one = self.records.get(int(number)) if number.isascii() and number.isdecimal() and len(number) < 12 else None
        return Answer(200, self._record(one)) if one else self.error(404, "Not Found")

    def _record(self, one: Listed) -> dict[str, object]:
        kind = TOLD.get(self.name, "record")
        data = {"name": f"{kind.title()} {one.number}", "version": one.version, "value": 100 + one.number % 900}
        return {"id": f"{kind}-{one.number}", "type": kind, "sequence": one.revision, "data": data}
