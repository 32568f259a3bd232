"""The company's own systems, as runbook 1 names them: each takes events in under their id and says how it is."""

from apps.simulator.calls import Answer, Call
from apps.simulator.vendors.http import HTTPReceiver

NAMES = (
    *("crm", "operacao", "financeiro", "cuidadores", "atendimento", "marketing", "site", "documentos", "whatsapp"),
)
EVENTS = "/api/events"


class Internal(HTTPReceiver):
    """One of them: events by `POST /api/events`, health by `GET /health`; nothing else is there."""

    def answer(self, call: Call) -> Answer:
        """Take an event in, or say how it is."""
        if self.weather.conditions.checks_token and not call.known:
            return self.error(401, "Unauthorized")
        match call.method, call.path.rstrip("/"):
            case (("GET" | "HEAD"), "/health"):
                return Answer(200, {"status": "ok", "service": f"carinho-{self.name}"})
            case "GET", "/status" if self.name == "whatsapp":
                return Answer(200, {"connected": True, "session": True, "smartphoneConnected": True})
            case "POST", path if path == EVENTS:
                return super().answer(call)
            case _, path if path in (EVENTS, "/health"):
                return self.error(405, "Method Not Allowed")
        return self.error(404, "Not Found")
