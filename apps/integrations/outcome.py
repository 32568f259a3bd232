from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.deadletters.failures import FailureClass


@dataclass(frozen=True, slots=True)
class Read:
    """A record as a service told it. Where it cannot be taken in, `errors` say by field why not.

    `revision` is the service's own number of the change, where it counts them: it only rises.
    """

    id: str
    told: Mapping[str, Any]
    fields: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 0
    errors: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """Some records, and where to read on. `next` is None after the last page: the next pass begins from `watermark`."""

    records: Sequence[Read]
    next: Mapping[str, Any] | None
    watermark: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an operation at the far end. Without a failure class it succeeded.

    `retry_after` is in seconds, as the far end asked. `errors` are its refusals by field. `unsure` marks an ambiguous
    outcome that another look cannot settle: the far end was asked and could not say. `page` is what a reading brought.
    """

    failure_class: FailureClass | None = None
    message: str = ""
    remote_id: str = ""
    remote_url: str = ""
    result: Mapping[str, Any] | None = None
    retry_after: float | None = None
    errors: Mapping[str, list[str]] = field(default_factory=dict)
    unsure: bool = False
    page: Page | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it is in the far end now: done by this call, or found there already."""
        return self.failure_class in (None, FailureClass.DUPLICATE)


class Unanswered(Exception):
    """No whole answer came. `sent` says whether bytes of the request may have left this machine."""

    def __init__(self, sent: bool, reason: str) -> None:
        super().__init__(reason)
        self.sent = sent
        self.reason = reason


class EgressRefused(Exception):
    """The door out refused the call. `sent` is true where it was the answer that was refused, for its size."""

    def __init__(self, message: str, failure_class: FailureClass = FailureClass.CONFIG, *, sent: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.failure_class = failure_class
        self.sent = sent
