"""What stands above this app and is reached from here, by its dotted path."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Made:
    """Something that an event became: a row of an app above, by kind and id, with the words that pages show."""

    kind: str
    id: UUID
    name: str
    status: str
    status_word: str


ROUTED_TO = "apps.operations.intake.submit_routed"
"""Takes in what an event becomes: `(event, routed, anew) -> how many were made`, inside the event's transaction."""

ROUTED_WAKES = "apps.operations.tasks.sweep"
"""The task that goes on where an event has become something."""

MADE_OF = "apps.operations.backlog.made_of"
"""Says what events became: `(event ids) -> {event id: [Made]}`, newest first and bounded."""
