"""What each kind of work has in common that may be given up on: when it is due, why it failed, and the verbs that settle it."""

import datetime as dt
from typing import Any

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import Count, F, Min, Q, QuerySet
from django.db.models.functions import Now, Upper
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.actions import leases
from apps.actions.leases import POISON_AFTER, RELEASED, Leased
from apps.actions.verbs import Given, Step, Verb, Words
from apps.deadletters.failures import FailureClass

FAILED = "failed"
"""The state of work that was given up on, whatever its kind."""
PROCESSING = "processing"
"""The state of work that a worker holds, where it has no other word for it."""
OPENS = "apps.deadletters.inbox.opened"
"""What opens the dead letters of what was given up on."""

LEAVES = "apps.jobs.retention.leaving"
"""What tells when an archived row is deleted: retention stands above this app."""

BACKOFF, BACKOFF_CAP = dt.timedelta(seconds=60), dt.timedelta(hours=1)

ARCHIVED = (Q(archived_at__isnull=False), _("archived; restore it first"))
WHY = {name: Given(name) for name in ("failure_class", "error_type", "last_error")}
"""What a failure writes."""
FORGOTTEN: dict[str, Any] = {"failure_class": "", "error_type": "", "last_error": "", "error_fields": {}}
"""What a success, or a new beginning, writes over earlier failures."""


@models.TextField.register_lookup
class Told(models.Transform):
    """A text where there is one. What an index of the words of errors leaves out is NULL, which the planner can count:
    a search by `last_error__told__icontains` finds that index, and is not mistaken for a rare one."""

    lookup_name = "told"
    template = "NULLIF(%(expressions)s, '')"


def words_of_errors(name: str) -> GinIndex:
    """Return the index of the words of errors: what never failed has none, and pays for none."""
    return GinIndex(
        OpClass(Upper("last_error__told"), "gin_trgm_ops"), name=name, condition=Q(last_error__told__isnull=False)
    )


class Failing(Leased):
    """Work that is tried until it is done or given up on, and then waits for a person as a dead letter."""

    live_rows = Q(archived_at__isnull=True)
    leaves = LEAVES

    due_at = models.DateTimeField(_("due at"), db_default=Now())
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    """Counted when an outcome is written, not when the row is claimed."""
    failure_class = models.CharField(_("failure class"), max_length=20, choices=FailureClass, blank=True, default="")
    error_type = models.CharField(_("error type"), max_length=100, blank=True, default="")
    last_error = models.TextField(_("last error"), blank=True, default="")
    error_fields = models.JSONField(_("errors by field"), default=dict, blank=True)
    failed_at = models.DateTimeField(_("failed at"), null=True, blank=True)
    resolution_note = models.TextField(_("how it was settled"), blank=True, default="")
    archived_at = models.DateTimeField(_("archived at"), null=True, blank=True)
    archive_reason = models.TextField(_("archived because"), blank=True, default="")

    class Meta:
        abstract = True


def retry_queue(waiting: QuerySet[Any]) -> tuple[int, int, dt.datetime | None]:
    """Return how many of what waits was tried already, how much of that is due, and since when the oldest is."""
    told = waiting.filter(attempts__gt=0).aggregate(
        total=Count("*"), ready=Count("due_at", filter=Q(due_at__lte=Now())), oldest=Min("due_at")
    )
    return told["total"], told["ready"], told["oldest"]


def bury(lapsed: QuerySet[Any]) -> int:
    """Give up on what took its worker down for the last time; return how many."""
    silent = gettext("Its worker fell silent for the %(times)sth time while it was under way.") % {
        "times": POISON_AFTER
    }
    poisonous = lapsed.filter(crashes__gte=POISON_AFTER - 1)
    return len(leases.rescue(lapsed.model.bury, poisonous, last_error=silent))


BEARABLE = Q(crashes__lt=POISON_AFTER - 1)
"""What is let wait again. Whose lease lapses just behind the look at the others is buried by the next one."""


def take_back(held: QuerySet[Any]) -> int:
    """Let work wait again, due now, whose worker fell silent; give up on what took its workers down. Return how many."""
    lapsed = leases.renewable(held)
    return bury(lapsed) + len(leases.rescue(held.model.rescue, lapsed.filter(BEARABLE)))


def wait_after(attempts: int) -> dt.timedelta:
    """Return how long what has failed so many times before waits: 60 s x 2^n, an hour at most (contracts §1.7)."""
    doubled: dt.timedelta = BACKOFF * 2**attempts
    return min(doubled, BACKOFF_CAP)


def already_due(waiting: str) -> tuple[Q, Words]:
    """Return what refuses to send on its way what waits in this state and is due."""
    # Of two who retry at once the later statement may have begun first: by its clock the other's `due_at` is to come.
    return Q(status=waiting) & (Q(due_at__lte=Now()) | Q(due_at__lte=F("updated_at"))), _("already due")


def archiving(help: Words) -> Verb:
    """Return the verb that puts away what was given up on."""
    return Verb(
        _("Archive"),
        sources=[FAILED],
        unless=[(Q(archived_at__isnull=False), _("archived already"))],
        sets={"archived_at": Now(), "archive_reason": Given("reason")},
        asks=["reason"],
        then="apps.deadletters.inbox.archived",
        help=help,
    )


def restoring(help: Words) -> Verb:
    """Return the verb that brings back what was put away."""
    return Verb(
        _("Restore"),
        sources=[FAILED],
        unless=[(Q(archived_at__isnull=True), _("not archived"))],
        sets={"archived_at": None, "archive_reason": ""},
        then="apps.deadletters.inbox.restored",
        help=help,
    )


def rescuing(waiting: str, held: str = PROCESSING) -> Step:
    """Return the step that takes work back from a worker that fell silent; it waits again, due now."""
    sets = {**RELEASED, "crashes": F("crashes") + 1, "due_at": Now()}
    return Step(_("Rescue"), sources=[held], target=waiting, sets=sets)


def giving_back(waiting: str) -> Step:
    """Return the step after which work is tried again by itself, due after a wait that is given."""
    due = Now() + Given("wait", models.DurationField())
    sets = {"attempts": F("attempts") + 1, "due_at": due, **WHY}
    return Step(_("Give back"), sources=[PROCESSING], target=waiting, sets=sets)


def giving_up_on_silence(held: str = PROCESSING, then: str = OPENS, **why: Any) -> Step:
    """Return the step that gives up on work whose worker fell silent; `why` is its failure class and error type."""
    told = {"failed_at": Now(), "last_error": Given("last_error"), **why}
    return Step(
        _("Rescue"),
        sources=[held],
        target=FAILED,
        sets={**RELEASED, "crashes": F("crashes") + 1, **told},
        then=then,
    )


POISON = {"failure_class": FailureClass.POISON, "error_type": "poison"}
"""Why work is given up on that took its workers down."""
