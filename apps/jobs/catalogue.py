"""What the tick does, in order: each app's own sweep, by its dotted path (they stand above this app)."""

SWEEPS = (
    "apps.operations.tasks.sweep",
    "apps.integrations.tasks.sweep",
    "apps.deadletters.tasks.sweep",
    "apps.actions.tasks.sweep",
    "apps.jobs.tasks.resume_lapsed",
)

TICK_SECONDS = 5
"""How often beat ticks. What no message speaks of waits so long at most."""

BACKLOGS = ("apps.operations.backlog.backlogs",)
"""Who keeps work in queues and for services: each says, by "queue" or "service", how much waits and since when."""

CALLS = ("apps.operations.traffic.calls",)
"""Who calls services: each says how many calls went to one in some spans of time, and how many of them failed."""
