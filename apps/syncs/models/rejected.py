"""Records that could not be taken in: each waits for a person as a dead letter, and stops no other."""

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now, Upper
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.actions.models import new_id
from apps.actions.verbs import Given, Step, Verb
from apps.deadletters.failing import (
    ARCHIVED,
    FORGOTTEN,
    POISON,
    WHY,
    Failing,
    archiving,
    giving_back,
    giving_up_on_silence,
    rescuing,
    restoring,
)
from apps.jobs.models import Job, Tenant
from apps.syncs.models.sync import Sync


class RejectedRecord(Failing):
    """A record that was read and could not be taken in: what it was, and why. One for each record, whatever it did since."""

    class Status(models.TextChoices):
        """Where it stands."""

        PENDING = "pending", pgettext_lazy("rejected record", "to be read again")
        """Waits for a worker to ask the source for it."""
        PROCESSING = "processing", pgettext_lazy("rejected record", "being read")
        """A worker holds it under a lease."""
        APPLIED = "applied", pgettext_lazy("rejected record", "taken in")
        """It was taken in since, or a person settled it."""
        FAILED = "failed", pgettext_lazy("rejected record", "rejected")
        """It cannot be taken in as it is, and waits for a person as a dead letter."""

    filters = {
        "status": "status",
        "job": "job__slug",
        "tenant": "tenant__slug",
        "entity": "entity",
        "class": "failure_class",
        "error": "error_type",
        "archived": "archived_at__isnull",
        "since": "created_at__gte",
        "before": "created_at__lt",
    }
    searches = ("last_error__icontains", "code")
    heavy = ("told",)
    settles = {"confirmed": Q(status="applied"), "failed_again": Q(status="failed")}
    wakes = "apps.syncs.tasks.read_again"
    dead_letter = {
        "service": "sync__service__slug",
        "tenant": "tenant__slug",
        "title": "entity",
        "entity_type": "entity",
        "entity_id": "code",
        "error_type": "error_type",
        "failure_class": "failure_class",
        "message": "last_error",
        "attempts": "attempts",
        "source_system": "job__slug",
    }
    """What its dead letter carries, and the column each comes from."""
    dead_letter_payload = "told"
    """The column that a search of dead letters looks through, and that their pages show, masked."""
    dead_letter_mask = "apps.integrations.masking.masked"
    """What masks it."""
    dead_letter_verbs = {"retry": "retry", "resolve": "resolve", "archive": "archive", "restore": "restore"}
    """Which of its verbs a dead letter's verbs run."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.PENDING, editable=False)
    sync = models.ForeignKey(Sync, models.PROTECT, related_name="+", verbose_name=_("sync"), db_index=False)
    job = models.ForeignKey(Job, models.PROTECT, related_name="+", verbose_name=_("job"), db_index=False)
    tenant = models.ForeignKey(
        Tenant, models.PROTECT, null=True, related_name="+", verbose_name=_("tenant"), db_index=False
    )
    """Those of its sync, which never change: lists filter by them."""
    entity = models.CharField(_("records"), max_length=60)
    code = models.CharField(_("code"), max_length=200)
    told = models.JSONField(_("as it came"), default=dict)
    """What the source told, masked and bounded."""
    digest = models.CharField(max_length=64)
    """That of what was told and why it was rejected: the same again is no news."""
    created_at = models.DateTimeField(_("first rejected"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    retry = Verb(
        _("Retry"),
        sources=[Status.FAILED],
        unless=[ARCHIVED],
        target=Status.PENDING,
        sets={"due_at": Now(), "attempts": 0, "crashes": 0},
        then="apps.deadletters.inbox.retried",
        paced=True,
        help=_("Ask the source for this one record again and take it in as it is now."),
    )
    resolve = Verb(
        _("Resolve"),
        sources=[Status.FAILED],
        unless=[ARCHIVED],
        target=Status.APPLIED,
        sets={"resolution_note": Given("note")},
        asks=["note"],
        then="apps.deadletters.inbox.resolved",
        help=_("Say that it is settled by other means. Nothing is taken in."),
    )
    archive = archiving(_("Put it away. It comes back by itself only if the record changes and is rejected again."))
    restore = restoring(_("Bring an archived record back among the rejected ones."))

    reject = Step(
        _("Reject"),
        sources=[Status.PENDING, Status.APPLIED, Status.FAILED],
        target=Status.FAILED,
        sets={
            **WHY,
            "error_fields": Given("error_fields"),
            "told": Given("told"),
            "digest": Given("digest"),
            "failed_at": Now(),
            "archived_at": None,
            "archive_reason": "",
        },
        then="apps.deadletters.inbox.opened",
    )
    """A pass read it and could not take it in; what it told is new."""
    accept = Step(
        _("Take in"),
        sources=[Status.PENDING, Status.FAILED],
        target=Status.APPLIED,
        sets=FORGOTTEN,
        then="apps.deadletters.inbox.settled",
    )
    """A pass read it and took it in: in the transaction that stores it."""
    claim = Step(_("Claim"), sources=[Status.PENDING], target=Status.PROCESSING)
    """A worker takes it under a lease and a token."""
    apply = Step(
        _("Finish"),
        sources=[Status.PROCESSING],
        target=Status.APPLIED,
        sets={**FORGOTTEN, "attempts": F("attempts") + 1},
        then="apps.deadletters.inbox.settled",
    )
    """It was asked for and taken in."""
    give_back = giving_back(Status.PENDING)
    """The source did not answer, or not well: due again after a wait that doubles."""
    fail = Step(
        _("Fail"),
        sources=[Status.PROCESSING],
        target=Status.FAILED,
        sets={
            "attempts": F("attempts") + 1,
            "failed_at": Now(),
            **WHY,
            "error_fields": Given("error_fields"),
            "told": Given("told"),
            "digest": Given("digest"),
        },
        then="apps.deadletters.inbox.opened",
    )
    """It was asked for, and still cannot be taken in."""
    rescue = rescuing(Status.PENDING)
    """Its worker fell silent. Asking again does no harm."""
    bury = giving_up_on_silence(**POISON)
    """It took its worker down for the fourth time."""

    class Meta:
        verbose_name = _("rejected record")
        verbose_name_plural = _("rejected records")
        ordering = ("-id",)
        constraints = [models.UniqueConstraint(name="rejected_code", fields=["sync", "entity", "code"])]
        indexes = [
            models.Index(name="rejected_due", fields=["due_at", "id"], condition=Q(status="pending")),
            models.Index(name="rejected_leased", fields=["lease_until"], condition=Q(status="processing")),
            models.Index(name="rejected_token", fields=["token"], condition=Q(status="processing")),
            models.Index(name="rejected_status", fields=["status", "id"], condition=Q(archived_at__isnull=True)),
            models.Index(name="rejected_search_code", fields=["code"]),
            GinIndex(OpClass(Upper("last_error"), "gin_trgm_ops"), name="rejected_error_words"),
        ]

    def __str__(self) -> str:
        return f"{self.entity} {self.code}"
