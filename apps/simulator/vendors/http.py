"""A generic receiver of HTTP calls, which honours `Idempotency-Key` and `webhook-id` by switch.

Every call but GET and HEAD is an effect. Same key: the first answer again. Same key, other body: 422.
"""

import hashlib

from apps.simulator.calls import Answer, Call
from apps.simulator.conditions import Weather
from apps.simulator.ledger import Ledger
from apps.simulator.store import Store


class HTTPReceiver:
    """One receiver, by the name in its path."""

    def __init__(self, name: str, store: Store, ledger: Ledger, weather: Weather) -> None:
        self.name, self.store, self.ledger, self.weather = name, store, ledger, weather
        self.given = store.kept(f"answers/{name}")

    def credential(self, call: Call) -> str:
        """A bearer token, or an API key."""
        return call.headers.get("authorization", "").removeprefix("Bearer ") or call.headers.get("x-api-key", "")

    def answer(self, call: Call) -> Answer:
        """Take it in, once per key where keys are honoured."""
        if self.weather.conditions.checks_token and not call.known:
            return self.error(401, "Unauthorized")
        if call.method in ("GET", "HEAD"):
            return Answer(200, {"status": "ok", "service": self.name})
        if call.unreadable:
            return self.error(400, "The body is not JSON.")
        return self._once(call)

    def error(self, status: int, message: str) -> Answer:
        """A problem body (RFC 9457)."""
        return Answer(status, {"status": status, "detail": message}, {"Content-Type": "application/problem+json"})

    def _once(self, call: Call) -> Answer:
        honoured = self.weather.conditions.honours_keys and call.key
        first = self.given.get(honoured) if honoured else None
        if first is None:
            return self._take_in(call)
        if first["digest"] != _digest(call):
            return self.error(422, "This key was used with another body.")
        return Answer(201, first["body"])

    def _take_in(self, call: Call) -> Answer:
        body: dict[str, object] = {"id": call.id, "service": self.name, "reference": call.reference}
        with self.store.transaction():
            self.ledger.took_effect(call, f"effects/{call.id}")
            if call.key:
                given: dict[str, object] = {"digest": _digest(call), "body": body}
                self.store.keep(f"answers/{self.name}", call.key, given)
                self.given[call.key] = given
        return Answer(201, body)


def _digest(call: Call) -> str:
    return hashlib.sha256(f"{call.method} {call.path} {call.body}".encode("utf-8", "replace")).hexdigest()
