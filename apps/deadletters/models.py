"""Dead letters: work given up on, of any kind, waiting for a person."""

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now, Upper
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.actions.models import new_id, short
from apps.actions.verbs import Acted, Given, Step, Verb
from apps.deadletters.failures import FailureClass


class DeadLetter(Acted):
    """One piece of work that was given up on. It carries the kind and id of its source and follows it.

    The source's verb leads: `retry`, `resolve`, `archive` and `restore` run on the source first, and the dead letters
    of what moved follow by the steps below. Where the source refuses, its sentence refuses the dead letter too.
    """

    class Status(models.TextChoices):
        """Where a dead letter stands (S1-37 to S1-46, S4-58 to S4-64)."""

        UNRESOLVED = "unresolved", pgettext_lazy("dead letter", "unresolved")
        """Waits for a person."""
        RETRYING = "retrying", pgettext_lazy("dead letter", "retrying")
        """Its source is on its way again."""
        RESOLVED = "resolved", pgettext_lazy("dead letter", "resolved")
        """Its source succeeded, or a person said that it is settled."""
        ARCHIVED = "archived", pgettext_lazy("dead letter", "archived")
        """Put away with a reason; out of counts and alerts until restored."""

    OPEN = (Status.UNRESOLVED, Status.RETRYING)
    """What counts as in the inbox."""

    filters = {
        "status": "status",
        "kind": "source_kind",
        "title": "title",
        "service": "service",
        "type": "error_type",
        "entity": "entity_type",
        "class": "failure_class",
        "cause": "fingerprint",
        "tenant": "tenant",
        "since": "opened_at__gte",
    }
    searches = ("message__icontains", "source_id")
    live_rows = ~Q(status="archived")
    settles = {"confirmed": Q(status="resolved"), "failed_again": Q(status="unresolved")}
    wakes = "apps.jobs.tasks.tick"
    leads = "apps.deadletters.inbox.leads"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.UNRESOLVED, editable=False)
    source_kind = models.CharField(_("kind of work"), max_length=100)
    source_id = models.UUIDField(_("source"))
    title = models.CharField(_("what"), max_length=200)
    service = models.CharField(_("service"), max_length=60, blank=True, default="")
    tenant = models.CharField(_("tenant"), max_length=60, blank=True, default="")
    entity_type = models.CharField(_("entity"), max_length=60, blank=True, default="")
    entity_id = models.CharField(_("entity id"), max_length=200, blank=True, default="")
    error_type = models.CharField(_("error type"), max_length=100)
    failure_class = models.CharField(_("failure class"), max_length=20, choices=FailureClass)
    message = models.TextField(_("error"))
    fingerprint = models.CharField(_("cause"), max_length=40)
    """What makes failures alike: kind, service, error type and the message without ids, numbers and quoted values."""
    repeats = models.PositiveIntegerField(_("repeats"), default=0)
    resolution_notes = models.TextField(_("resolution notes"), blank=True, default="")
    archive_reason = models.TextField(_("archived because"), blank=True, default="")
    opened_at = models.DateTimeField(_("given up at"), db_default=Now())
    resolved_at = models.DateTimeField(_("resolved at"), null=True, blank=True)
    archived_at = models.DateTimeField(_("archived at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    retry = Verb(
        _("Retry"),
        sources=[Status.UNRESOLVED, Status.RETRYING],
        target=Status.RETRYING,
        paced=True,
        help=_("Send its source on its way again. Earlier attempts still count."),
    )
    resolve = Verb(
        _("Resolve"),
        sources=[Status.UNRESOLVED],
        target=Status.RESOLVED,
        sets={"resolved_at": Now(), "resolution_notes": Given("note")},
        asks=["note"],
        help=_("Say that it is settled, by other means than sending it again."),
    )
    archive = Verb(
        _("Archive"),
        sources=[Status.UNRESOLVED, Status.RETRYING],
        target=Status.ARCHIVED,
        sets={"archived_at": Now(), "archive_reason": Given("reason")},
        asks=["reason"],
        help=_("Put it away without doing it. It leaves counts and alerts until it is restored."),
    )
    restore = Verb(
        _("Restore"),
        sources=[Status.ARCHIVED],
        target=Status.UNRESOLVED,
        sets={"archived_at": None, "archive_reason": ""},
        help=_("Bring it back into the inbox."),
    )
    follow_retry = Step(_("Retry"), sources=[Status.UNRESOLVED, Status.RETRYING], target=Status.RETRYING)
    """The source is on its way again."""
    follow_resolve = Step(
        _("Resolve"),
        sources=OPEN,
        target=Status.RESOLVED,
        sets={"resolved_at": Now(), "resolution_notes": Given("note")},
    )
    follow_archive = Step(
        _("Archive"),
        sources=OPEN,
        target=Status.ARCHIVED,
        sets={"archived_at": Now(), "archive_reason": Given("reason")},
    )
    follow_restore = Step(
        _("Restore"),
        sources=[Status.ARCHIVED],
        target=Status.UNRESOLVED,
        sets={"archived_at": None, "archive_reason": ""},
    )
    settle = Step(_("Settle"), sources=OPEN, target=Status.RESOLVED, sets={"resolved_at": Now()})
    """The source succeeded."""
    reopen = Step(
        _("Reopen"),
        sources=[Status.UNRESOLVED, Status.RETRYING, Status.RESOLVED, Status.ARCHIVED],
        target=Status.UNRESOLVED,
        sets={
            "repeats": F("repeats") + 1,
            "opened_at": Now(),
            "resolved_at": None,
            "archived_at": None,
            "error_type": Given("error_type"),
            "failure_class": Given("failure_class"),
            "message": Given("message"),
            "fingerprint": Given("fingerprint"),
        },
    )
    """The source failed again: a new failure is never swallowed by an old archive."""

    class Meta:
        verbose_name = _("dead letter")
        verbose_name_plural = _("dead letters")
        ordering = ("-id",)
        constraints = [models.UniqueConstraint(name="deadletter_source", fields=["source_id", "source_kind"])]
        indexes = [
            models.Index(name="deadletter_status", fields=["status", "id"]),
            models.Index(name="deadletter_cause", fields=["fingerprint", "id"], condition=Q(status="unresolved")),
            GinIndex(OpClass(Upper("message"), "gin_trgm_ops"), name="deadletter_message_words"),
        ]

    def __str__(self) -> str:
        return f"{self.title} {short(self.source_id)}"
