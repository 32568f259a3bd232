"""Carries operations through the door out: drives connectors' steps, many at once, and says what came of each."""

import json
import logging
import time
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NamedTuple

import requests
from django.utils.translation import gettext as _

from apps.deadletters.failures import FailureClass
from apps.integrations.addresses import Names
from apps.integrations.connectors.answers import json_of
from apps.integrations.connectors.shape import Answer, CredentialMissing, Doubles, Steps
from apps.integrations.egress import Calls, Policy
from apps.integrations.masking import masked, masked_headers, masked_text, masked_url
from apps.integrations.outcome import EgressRefused, Outcome, Unanswered
from apps.integrations.traces import child_of

log = logging.getLogger(__name__)

HARMLESS = ("GET", "HEAD", "OPTIONS")
EXCERPT, READABLE, LONGEST_URL = 4096, 64 * 1024, 500


class Exchange(NamedTuple):
    """One call as it may be stored: all of it is masked. `excerpt` stands only where the operation failed."""

    method: str
    url: str
    status: int | None
    started_at: datetime
    duration_ms: int
    sent: bool
    excerpt: str = ""


class Settled(NamedTuple):
    """What became of an operation. Without an outcome its call was not started, because the caller said so."""

    tag: Hashable
    outcome: Outcome | None
    exchanges: list[Exchange]


def carry_out(
    steps: Steps, policy: Policy, doubles: Doubles = Doubles.UPSERT, secrets: Collection[str] = ()
) -> Settled:
    """Carry out one operation, probe or look, and wait for it."""
    door = Door()
    try:
        door.start("one", steps, policy, doubles, secrets)
        [settled] = door.wait(float("inf"))
    finally:
        door.close()
    return settled


class Door:
    """Operations under way, from the one thread that made this.

    `before_unrepeatable` is asked just before calls that may not be repeated, for all that are about to start at once:
    it gets their tags and returns those that may. What it raises, `wait` raises, and none of them has started.
    """

    def __init__(
        self,
        before_unrepeatable: Callable[[list[Hashable]], Collection[Hashable]] = list,
        names: Names | None = None,
    ) -> None:
        self._before_unrepeatable = before_unrepeatable
        self._calls = Calls(names)
        self._under_way: dict[Hashable, _Errand] = {}
        self._held: list[_Errand] = []
        self._settled: list[Settled] = []

    @property
    def in_flight(self) -> int:
        """How many operations have begun and were not handed back."""
        return len(self._under_way) + len(self._settled)

    def start(
        self,
        tag: Hashable,
        steps: Steps,
        policy: Policy,
        doubles: Doubles,
        secrets: Collection[str] = (),
        traceparent: str = "",
    ) -> None:
        """Begin an operation; `wait` will hand back its tag. `secrets` are hidden wherever they are echoed.

        Where it comes out of a trace, each of its calls is a span of that trace.
        """
        errand = self._under_way[tag] = _Errand(tag, steps, policy, doubles, tuple(secrets), traceparent)
        self._go_on(errand, None)

    def wait(self, timeout: float) -> list[Settled]:
        """Return the operations that are settled, after at most `timeout` seconds."""
        ends = time.monotonic() + timeout
        while True:
            self._release()
            left = 0 if self._settled else max(ends - time.monotonic(), 0)
            for tag, answer in self._calls.wait(left):
                self._go_on(self._under_way[tag], answer)
            if self._settled or not self._under_way or time.monotonic() >= ends:
                settled, self._settled = self._settled, []
                return settled

    def close(self) -> None:
        """Break off what is under way and close all connections."""
        self._calls.close()
        for errand in self._under_way.values():
            errand.steps.close()

    def _go_on(self, errand: "_Errand", answer: Answer | None) -> None:
        """Give a connector its answer; ask what it yields next, or settle what it returns."""
        if answer is not None:
            errand.note(answer)
        try:
            request = errand.next(answer)
        except Exception as error:
            self._settle(errand, errand.outcome_of(error))
        else:
            self._ask(errand, request)

    def _ask(self, errand: "_Errand", request: requests.Request) -> None:
        if errand.traceparent:
            request.headers = {"traceparent": child_of(errand.traceparent), **(request.headers or {})}
        errand.request = request
        if errand.repeatable:
            self._call(errand)
        else:
            self._held.append(errand)

    def _release(self) -> None:
        if not self._held:
            return
        allowed = set(self._before_unrepeatable([errand.tag for errand in self._held]))
        held, self._held = self._held, []
        for errand in held:
            if errand.tag in allowed:
                self._call(errand)
            else:
                self._settle(errand, None)

    def _call(self, errand: "_Errand") -> None:
        errand.started = time.perf_counter()
        errand.started_at = datetime.now(UTC)
        self._calls.start(errand.tag, errand.request, errand.policy)

    def _settle(self, errand: "_Errand", outcome: Outcome | None) -> None:
        del self._under_way[errand.tag]
        errand.steps.close()
        self._settled.append(Settled(errand.tag, errand.masked(outcome), errand.exchanges(outcome)))


@dataclass(slots=True)
class _Errand:
    """One operation under way: its connector's steps, the call in flight, and the calls made."""

    tag: Hashable
    steps: Steps
    policy: Policy
    doubles: Doubles
    secrets: tuple[str, ...] = field(repr=False)
    traceparent: str = ""
    request: requests.Request = field(init=False)
    started: float = 0.0
    started_at: datetime = field(init=False)
    risked: bool = False
    """A call that may not be repeated may have taken effect."""
    calls: list[tuple[Exchange, Answer]] = field(default_factory=list)

    @property
    def repeatable(self) -> bool:
        return self.doubles.repeatable or self.request.method.upper() in HARMLESS

    def next(self, answer: Answer | None) -> requests.Request:
        if answer is None:
            return next(self.steps)
        if isinstance(answer, Exception):
            return self.steps.throw(answer)
        return self.steps.send(answer)

    def note(self, answer: Answer) -> None:
        sent = getattr(answer, "sent", True)
        self.risked = self.risked or (sent and not self.repeatable)
        exchange = Exchange(
            method=self.request.method,
            url=masked_url(self.request.url, self.secrets)[:LONGEST_URL],
            status=getattr(answer, "status_code", None),
            started_at=self.started_at,
            duration_ms=round((time.perf_counter() - self.started) * 1000),
            sent=sent,
        )
        self.calls.append((exchange, answer))

    def outcome_of(self, end: Exception) -> Outcome:
        """Say what it comes to that the connector's steps ended so."""
        match end:
            case StopIteration(value=Outcome(failure_class=FailureClass.UNKNOWN) as outcome):
                # Nobody has heard of such an answer, so nobody can say that it was a refusal.
                return replace(outcome, failure_class=self._unless_risked(FailureClass.UNKNOWN))
            case StopIteration(value=Outcome() as outcome):
                return outcome
            case Unanswered():
                return Outcome(self._unless_risked(FailureClass.TRANSIENT), end.reason)
            case EgressRefused():
                return Outcome(self._unless_risked(end.failure_class), end.message)
            case CredentialMissing():
                return Outcome(FailureClass.CREDENTIAL, _("The credential '%s' is not set.") % end)
        log.error("A connector failed", exc_info=end, extra={"trace": self.traceparent[3:35]})
        words = {"error": type(end).__name__, "said": end}
        return Outcome(
            self._unless_risked(FailureClass.UNKNOWN), _("The connector failed: %(error)s: %(said)s") % words
        )

    def masked(self, outcome: Outcome | None) -> Outcome | None:
        if outcome is None or outcome.failure_class is None:
            return outcome
        errors = {name: [masked_text(said, self.secrets) for said in says] for name, says in outcome.errors.items()}
        return replace(outcome, message=masked_text(outcome.message, self.secrets), errors=errors)

    def exchanges(self, outcome: Outcome | None) -> list[Exchange]:
        failed = outcome is not None and not outcome.succeeded
        return [done._replace(excerpt=self._excerpt(answer)) if failed else done for done, answer in self.calls]

    def _unless_risked(self, failure_class: FailureClass) -> FailureClass:
        return FailureClass.AMBIGUOUS if self.risked else failure_class

    def _excerpt(self, answer: Answer) -> str:
        if isinstance(answer, Exception):
            return masked_text(str(answer), self.secrets)
        headers = "\n".join(f"{name}: {value}" for name, value in masked_headers(answer.headers).items())
        return f"{headers}\n\n{self._masked_body(answer)}".encode()[:EXCERPT].decode(errors="ignore")

    def _masked_body(self, response: requests.Response) -> str:
        if len(response.content) < READABLE and isinstance(body := json_of(response), dict | list):
            return json.dumps(masked(body, self.secrets), ensure_ascii=False)
        return masked_text(response.text[: 4 * EXCERPT], self.secrets)
