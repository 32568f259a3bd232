from django.db import models
from django.utils.translation import pgettext_lazy


class FailureClass(models.TextChoices):
    """The kind of a failure: what happens by itself, and what a person must do. Every app uses these words."""

    TRANSIENT = "transient", pgettext_lazy("failure class", "transient")
    """Nothing answered, or answered that it is unwell, on a call that may be repeated: again after a backoff."""
    RATE_LIMITED = "rate_limited", pgettext_lazy("failure class", "rate limited")
    """Refused before work because we call too often: the service waits, no attempt is used."""
    QUOTA = "quota", pgettext_lazy("failure class", "quota")
    """What was paid for, or is allowed a day, is used up: the breaker stays open until then or until a person acts."""
    CREDENTIAL = "credential", pgettext_lazy("failure class", "credential")
    """Our key is not accepted: the breaker opens at once, a rotation and the probe close it."""
    DEPENDENCY_DOWN = "dependency_down", pgettext_lazy("failure class", "dependency down")
    """The service is known to be down: rows are not claimed until it answers."""
    PERMANENT_DATA = "permanent_data", pgettext_lazy("failure class", "permanent: data")
    """The values are refused and will be refused again: a dead letter at once, errors by field."""
    CONFIG = "config", pgettext_lazy("failure class", "permanent: configuration")
    """Our own settings or code ask for something impossible: a dead letter at once, for developers."""
    DUPLICATE = "duplicate", pgettext_lazy("failure class", "duplicate")
    """It is already there: completed, linked to the first."""
    AMBIGUOUS = "ambiguous", pgettext_lazy("failure class", "ambiguous")
    """It may have taken effect and may not be repeated: a person decides."""
    UNKNOWN = "unknown", pgettext_lazy("failure class", "unknown")
    """An answer nobody has heard of: two tries, then a dead letter with its excerpt."""
    POISON = "poison", pgettext_lazy("failure class", "poison")
    """It took its worker down four times: set by the rescue, never by a connector."""


TRANSIENT = (FailureClass.TRANSIENT, FailureClass.RATE_LIMITED, FailureClass.DEPENDENCY_DOWN)
"""What passes by itself: the selection of `dlq/resolve-transient`."""

COUNTED_BY_BREAKER = (FailureClass.TRANSIENT, FailureClass.AMBIGUOUS)
"""What speaks against the health of the service; a refusal speaks for it."""

OPENS_BREAKER = (FailureClass.CREDENTIAL, FailureClass.QUOTA)
"""What makes every further call useless, at the first sign."""

NO_ATTEMPT_USED = (
    FailureClass.RATE_LIMITED,
    FailureClass.QUOTA,
    FailureClass.CREDENTIAL,
    FailureClass.DEPENDENCY_DOWN,
)
"""What is no fault of the row: it waits, and keeps its whole budget of attempts."""

GIVEN_UP_AT_ONCE = (FailureClass.PERMANENT_DATA, FailureClass.CONFIG)
"""What another attempt cannot change."""
