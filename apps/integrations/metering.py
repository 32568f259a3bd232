"""What is counted of calls to services and of events from them, under the names that runbook 2 looks for (S2-9 to S2-11)."""

import time
from collections import Counter
from collections.abc import Iterable

from django.db import Error

from apps.actions.meters import Count, Spans
from apps.integrations.door import Exchange, Settled
from apps.integrations.models import Endpoint

SUCCESS, ERROR = "success", "error"
OTHER = "other"
KEPT_SECONDS = 5.0

CALLS = Count("integration_requests_total", "Calls made to services.", "integration", "operation", "status")
CALL_SECONDS = Spans("integration_request_duration_seconds", "How long calls took.", "integration", "operation")
EVENTS = Count("webhook_events_total", "Events from other systems.", "webhook_type", "event_type", "status")
"""`status`: received, duplicate or refused at the door; success, error or retry once a worker had it."""


def count_calls(service: str, operation: str, made: Iterable[Settled]) -> None:
    """Count the calls that were made for operations, probes or looks; the last of each carries its outcome."""
    good: Counter[bool] = Counter()
    spans = []
    for settled in made:
        for exchange in settled.exchanges:
            last = exchange is settled.exchanges[-1]
            succeeded = settled.outcome is not None and settled.outcome.succeeded
            good[succeeded if last else _answered(exchange)] += 1
            spans.append(exchange.duration_ms / 1000)
    for went_well, number in good.items():
        CALLS.add(service, operation, SUCCESS if went_well else ERROR, amount=number)
    CALL_SECONDS.took_each(spans, service, operation)


def count_events(source: str, event_types: Iterable[str], status: str) -> None:
    """Count events of a source. Their types are the senders' own words: those that no endpoint names count together."""
    for word, number in Counter(map(_types.word, event_types)).items():
        EVENTS.add(source, word, status, amount=number)


def _answered(exchange: Exchange) -> bool:
    return exchange.status is not None and exchange.status < 400


class _Types:
    """The types of events that endpoints name, as this process knows them: staff decide how many words there are."""

    def __init__(self) -> None:
        self.known: frozenset[str] = frozenset()
        self.until = 0.0

    def word(self, event_type: str) -> str:
        """Return the type, the pattern that takes it, or a word for all others."""
        if time.monotonic() >= self.until:
            self._read()
        if event_type in self.known:
            return event_type
        taking = [word for word in self.known if word.endswith("*") and event_type.startswith(word[:-1])]
        return max(taking, key=len, default=OTHER)

    def _read(self) -> None:
        self.until = time.monotonic() + KEPT_SECONDS
        try:
            self.known = frozenset(Endpoint.objects.values_list("event_type", flat=True).distinct())
        except Error:  # what it knew will do
            return


_types = _Types()
