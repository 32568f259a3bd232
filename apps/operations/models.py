"""Pending operations: changes that must reach a service, and the calls that were made for them."""

import datetime as dt
from typing import Any

from django.db import models
from django.db.models import Case, ExpressionWrapper, F, Q, When
from django.db.models.functions import Coalesce, Now, Random
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.actions.leases import RELEASED
from apps.actions.models import new_id, short
from apps.actions.tallies import Counts
from apps.actions.verbs import FormVerb, Given, Step, Verb
from apps.deadletters.failing import (
    ARCHIVED,
    FORGOTTEN,
    POISON,
    WHY,
    Failing,
    already_due,
    archiving,
    giving_up_on_silence,
    rescuing,
    restoring,
    words_of_errors,
)
from apps.deadletters.failures import FailureClass
from apps.integrations.masking import phones_of
from apps.integrations.models import IntegrationEvent, MappingVersion, Service
from apps.jobs.models import Queue, Tenant

AMBIGUOUS = (
    Q(status="failed", failure_class=FailureClass.AMBIGUOUS),
    _("outcome unknown: check the far end first, then resolve it, send it again or archive it"),
)
NOT_FOUND_THERE = (
    Q(status="pending") & (Q(confirm_found__isnull=True) | Q(confirm_found=False)),
    _("pending, and not known to be at the service; confirm it first, or cancel it"),
)


class PendingOperation(Failing):
    """A change that must reach a service (S0-2). Its id is its idempotency key: it never changes."""

    class Status(models.TextChoices):
        """Where an operation stands, in the runbook's words (S0-10)."""

        PENDING = "pending", pgettext_lazy("operation", "pending")
        """Waits for a worker, or for `due_at`."""
        PROCESSING = "processing", pgettext_lazy("operation", "processing")
        """A worker holds it under a lease."""
        COMPLETED = "completed", pgettext_lazy("operation", "completed")
        """It reached its service, or a person settled it."""
        FAILED = "failed", pgettext_lazy("operation", "failed")
        """Given up, and waiting for a person as a dead letter."""

    filters = {
        "status": "status",
        "service": "service__slug",
        "queue": "queue__slug",
        "tenant": "tenant__slug",
        "type": "operation_type",
        "entity": "entity_type",
        "class": "failure_class",
        "error": "error_type",
        "mapping": "mapping_version__name",
        "archived": "archived_at__isnull",
        "attempts": "attempts__gte",
        "since": "created_at__gte",
        "before": "created_at__lt",
        "completed_since": "completed_at__gte",
        "failed_since": "failed_at__gte",
        "restored": "restored_at__isnull",
        "found": "confirm_found",
    }
    searches = ("last_error__told__icontains", "entity_id", "remote_id")
    taken_in = True
    settles = {"confirmed": Q(status="completed"), "failed_again": Q(status="failed")}
    foresees = "apps.operations.foresight.foreseen"
    wakes = "apps.operations.tasks.sweep"
    dead_letter = {
        "service": "service__slug",
        "tenant": "tenant__slug",
        "title": "operation_type",
        "entity_type": "entity_type",
        "entity_id": "entity_id",
        "error_type": "error_type",
        "failure_class": "failure_class",
        "message": "last_error",
        "attempts": "attempts",
        "source_system": "source",
    }
    """What its dead letter carries, and the column each comes from."""
    dead_letter_payload = "payload"
    """The column that a search of dead letters looks through, and that their pages show, masked."""
    dead_letter_mask = "apps.integrations.masking.masked"
    """What masks it."""
    dead_letter_verbs = {
        "retry": "retry",
        "resolve": "resolve",
        "archive": "archive",
        "restore": "restore",
        "edit": "edit",
    }
    """Which of its verbs a dead letter's verbs run."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.PENDING, editable=False)
    service = models.ForeignKey(Service, models.PROTECT, related_name="+", verbose_name=_("service"), db_index=False)
    queue = models.ForeignKey(Queue, models.PROTECT, related_name="+", verbose_name=_("queue"), db_index=False)
    tenant = models.ForeignKey(
        Tenant, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("tenant"), db_index=False
    )
    operation_type = models.CharField(_("operation"), max_length=60)
    entity_type = models.CharField(_("entity"), max_length=60, blank=True, default="")
    entity_id = models.CharField(_("entity id"), max_length=200, blank=True, default="")
    payload = models.JSONField(_("payload"))
    source = models.CharField(_("handed in by"), max_length=150, blank=True, default="")
    mapping_version = models.ForeignKey(
        MappingVersion,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("made by the mapping"),
        db_index=False,
    )
    """Which version of whose mapping made it of an event; empty where it was handed in as it is."""
    event = models.ForeignKey(
        IntegrationEvent,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("event"),
        db_index=False,
    )
    """The event that it was made of."""
    traceparent = models.CharField(max_length=55, blank=True, default="", editable=False)
    """Where it comes from; each call for it is a span of that trace."""

    max_retries = models.PositiveSmallIntegerField(_("attempts before it is given up"), default=10)
    called_at = models.DateTimeField(_("called at"), null=True, blank=True)
    """Stamped just before a call that may not be repeated: after a crash it says that the far end may have acted."""
    last_attempt_at = models.DateTimeField(_("last attempt"), null=True, blank=True)
    completed_at = models.DateTimeField(_("completed at"), null=True, blank=True)
    remote_id = models.CharField(_("id at the service"), max_length=200, blank=True, default="")
    remote_url = models.CharField(_("address at the service"), max_length=500, blank=True, default="")
    result = models.JSONField(_("answer of the service"), null=True, blank=True)

    restored_at = models.DateTimeField(_("restored at"), null=True, blank=True, editable=False)
    """It was waiting in a backup that was restored: it may have been sent since the backup was made (R26)."""

    confirm_asked_at = models.DateTimeField(null=True, editable=False)
    confirmed_at = models.DateTimeField(_("looked up at"), null=True, blank=True)
    confirm_found = models.BooleanField(_("found at the service"), null=True, blank=True)
    confirm_message = models.TextField(_("what was found"), blank=True, default="")

    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    retry = Verb(
        _("Retry"),
        sources=[Status.FAILED, Status.PENDING],
        unless=[
            ARCHIVED,
            already_due(Status.PENDING),
            AMBIGUOUS,
        ],
        target=Status.PENDING,
        sets={"due_at": Now()},
        then="apps.deadletters.inbox.retried",
        paced=True,
        help=_(
            "Send it again now. Earlier attempts still count; one that used them all gets one more. "
            "Nothing needs rolling back: the same key goes out each time."
        ),
    )
    reset = Verb(
        _("Reset"),
        sources=[Status.FAILED],
        unless=[ARCHIVED, AMBIGUOUS],
        target=Status.PENDING,
        sets={
            "due_at": Now(),
            "attempts": 0,
            "crashes": 0,
            **FORGOTTEN,
        },
        then="apps.deadletters.inbox.retried",
        paced=True,
        help=_("Send it again as if for the first time: its attempts and errors are forgotten."),
    )
    send_again = Verb(
        _("Send again"),
        sources=[Status.FAILED],
        unless=[
            ARCHIVED,
            (~Q(failure_class=FailureClass.AMBIGUOUS), _("of known outcome; use retry or reset")),
        ],
        target=Status.PENDING,
        sets={"due_at": Now(), "called_at": None},
        asks=["reason"],
        then="apps.deadletters.inbox.retried",
        danger=True,
        help=_("It may have taken effect already: send it again all the same, because you looked and it is not there."),
    )
    resolve = Verb(
        _("Resolve"),
        sources=[Status.FAILED, Status.PENDING],
        unless=[ARCHIVED, NOT_FOUND_THERE],
        target=Status.COMPLETED,
        sets={"completed_at": Now(), "resolution_note": Given("note")},
        asks=["note"],
        then="apps.deadletters.inbox.resolved",
        help=_("Say that it is settled: it happened, or was done by other means. Nothing is sent."),
    )
    archive = archiving(
        _("Put it away without sending it. It leaves counts, thresholds and bulk verbs until it is restored.")
    )
    restore = restoring(_("Bring an archived operation back among the failed ones."))
    cancel = Verb(
        _("Cancel"),
        sources=[Status.PENDING],
        target=Status.FAILED,
        sets={"archived_at": Now(), "archive_reason": Given("reason"), "failed_at": Now()},
        asks=["reason"],
        then="apps.deadletters.inbox.archived",
        danger=True,
        help=_("Do not send it. It is put away among the archived ones and can be restored."),
    )
    confirm = Verb(
        _("Confirm"),
        sources=[Status.COMPLETED, Status.FAILED, Status.PENDING],
        sets={"confirm_asked_at": Now()},
        help=_("Ask the service whether it is really there, by our reference. Nothing is changed (S0-26)."),
    )

    edit = FormVerb(
        _("Edit and retry"),
        page="operations_pendingoperation_edit",
        sources=[Status.FAILED],
        unless=[ARCHIVED, AMBIGUOUS],
        target=Status.PENDING,
        sets={"payload": Given("payload"), "due_at": Now()},
        asks=["reason", "rule"],
        fills="apps.operations.editing.filled",
        then="apps.operations.editing.edited",
        paced=True,
        help=_("Change what is sent, and send it again now under the same key. Every earlier payload is kept."),
    )

    claim = Step(_("Claim"), sources=[Status.PENDING], target=Status.PROCESSING)
    """A drain takes it under a lease and a token."""
    complete = Step(
        _("Complete"),
        sources=[Status.PROCESSING],
        target=Status.COMPLETED,
        sets={
            "attempts": F("attempts") + 1,
            "last_attempt_at": Now(),
            "completed_at": Now(),
            **FORGOTTEN,
            "remote_id": Given("remote_id"),
            "remote_url": Given("remote_url"),
            "result": Given("result"),
        },
        then="apps.deadletters.inbox.settled",
    )
    """The service has it. A crash before this is written repeats the call with the same key, or looks first."""
    give_back = Step(
        _("Give back"),
        sources=[Status.PROCESSING],
        target=Status.PENDING,
        sets={
            "attempts": F("attempts") + Given("used", models.IntegerField()),
            "last_attempt_at": Now(),
            # Full jitter on the database's dice: a thousand that failed together do not come back together.
            "due_at": Now()
            + Given("floor", models.DurationField())
            + ExpressionWrapper(Given("spread", models.DurationField()) * Random(), models.DurationField()),
            "called_at": Case(
                When(Given("in_doubt", models.BooleanField()), then=F("called_at")),
                default=Given("called_at", models.DateTimeField()),
            ),
            **WHY,
            "error_fields": Given("error_fields"),
        },
    )
    """Not this time: due again later. Refusals before work (429, an open breaker, a refused token) use no attempt."""
    release = Step(_("Give back"), sources=[Status.PROCESSING], target=Status.PENDING)
    """Claimed but not called, because the drain stops or the service is held: as if it had never been claimed."""
    fail = Step(
        _("Fail"),
        sources=[Status.PROCESSING],
        target=Status.FAILED,
        sets={
            "attempts": F("attempts") + Given("used", models.IntegerField()),
            "last_attempt_at": Now(),
            "failed_at": Now(),
            **WHY,
            "error_fields": Given("error_fields"),
        },
        then="apps.deadletters.inbox.opened",
    )
    """Given up: its dead letter opens in the same transaction."""
    rescue = rescuing(Status.PENDING)
    """Its worker fell silent. The call may have gone out: the connector's key, or a look, stands against a double."""
    doubt = giving_up_on_silence(failure_class=FailureClass.AMBIGUOUS, error_type="worker_lost")
    """Its worker fell silent in a call that nobody can ask about: a person decides."""
    bury = giving_up_on_silence(**POISON)
    """It took its worker down for the fourth time."""
    recall = Step(
        _("Restore from a backup"),
        sources=[Status.PENDING, Status.PROCESSING],
        target=Status.PENDING,
        # It was sent after it was made, if at all: from then on a look searches for it.
        sets={**RELEASED, "restored_at": Now(), "called_at": Coalesce(F("called_at"), F("created_at"))},
    )
    """It waited in a backup: the next attempt repeats its key or looks first, where the far end takes either."""
    recall_in_doubt = Step(
        _("Restore from a backup"),
        sources=[Status.PENDING, Status.PROCESSING],
        target=Status.FAILED,
        sets={
            **RELEASED,
            "restored_at": Now(),
            "called_at": Coalesce(F("called_at"), F("created_at")),
            "failed_at": Now(),
            "failure_class": FailureClass.AMBIGUOUS,
            "error_type": "restored",
            "last_error": Given("last_error"),
        },
        then="apps.deadletters.inbox.opened",
    )
    """It waited in a backup, at a service that nobody can ask: a person decides."""

    class Meta:
        verbose_name = _("pending operation")
        verbose_name_plural = _("pending operations")
        ordering = ("-id",)
        indexes = [
            # What a drain claims: one service of one queue, in the order of due times.
            models.Index(
                name="operation_due", fields=["queue", "service", "due_at", "id"], condition=Q(status="pending")
            ),
            # The few that were held when a worker fell silent, which go apart.
            models.Index(
                name="operation_suspects",
                fields=["queue", "service", "due_at", "id"],
                condition=Q(status="pending", crashes__gt=0),
            ),
            # Lists, counts and bulk verbs by state, walking the key.
            models.Index(name="operation_status", fields=["status", "id"], condition=Q(archived_at__isnull=True)),
            models.Index(name="operation_service", fields=["service", "id"]),
            models.Index(name="operation_queue", fields=["queue", "id"]),
            models.Index(name="operation_type", fields=["operation_type", "id"]),
            # What is held now: the rescue asks by state and lease, the heartbeat by token alone.
            models.Index(name="operation_leased", fields=["lease_until"], condition=Q(status="processing")),
            models.Index(name="operation_held", fields=["token"], condition=Q(token__isnull=False)),
            # The day's figures on the home page.
            models.Index(
                name="operation_completed_at",
                fields=["completed_at"],
                include=["service"],
                condition=Q(status="completed"),
            ),
            # The retry queue: tried already, and waiting for a further attempt.
            models.Index(name="operation_retrying", fields=["due_at"], condition=Q(status="pending", attempts__gt=0)),
            models.Index(
                name="operation_to_confirm", fields=["confirm_asked_at"], condition=Q(confirm_asked_at__isnull=False)
            ),
            # The last error of each queue.
            models.Index(
                name="operation_queue_error", fields=["queue", "last_attempt_at"], condition=~Q(error_type="")
            ),
            # Rare words of the list's filters; partial, so that a delivery that goes well pays for none of them.
            models.Index(name="operation_class", fields=["failure_class", "id"], condition=~Q(failure_class="")),
            models.Index(name="operation_error", fields=["error_type", "id"], condition=~Q(error_type="")),
            models.Index(name="operation_restored", fields=["id"], condition=Q(restored_at__isnull=False)),
            models.Index(name="operation_archived", fields=["id"], condition=Q(archived_at__isnull=False)),
            models.Index(name="operation_tenant", fields=["tenant", "id"], condition=Q(tenant__isnull=False)),
            models.Index(
                name="operation_mapping", fields=["mapping_version", "id"], condition=Q(mapping_version__isnull=False)
            ),
            models.Index(
                name="operation_failed_at",
                fields=["failed_at"],
                condition=Q(status="failed", archived_at__isnull=True),
            ),
            # What an event became; emptied where the event is purged.
            models.Index(name="operation_event", fields=["event", "id"], condition=Q(event__isnull=False)),
            models.Index(name="operation_entity", fields=["entity_id"], condition=~Q(entity_id="")),
            models.Index(name="operation_remote", fields=["remote_id"], condition=~Q(remote_id="")),
            words_of_errors("operation_error_told"),
        ]

    def __str__(self) -> str:
        return f"{self.operation_type} {short(self.pk)}"

    @property
    def said(self) -> dict[str, Any]:
        """What a line of the log about it carries."""
        row = {"kind": "operations.pendingoperation", "object_id": self.pk, "trace": self.traceparent[3:35]}
        return row | {"phones": phones_of(self.payload)}


class PayloadVersion(models.Model):
    """A payload that an operation has had. The first was handed in, each later one came of an edit; the last is sent."""

    id = models.BigAutoField(primary_key=True)
    operation = models.ForeignKey(
        PendingOperation, models.CASCADE, related_name="versions", db_index=False, verbose_name=_("operation")
    )
    number = models.PositiveIntegerField(_("version"))
    payload = models.JSONField(_("payload"))
    made_by = models.CharField(_("made by"), max_length=150, blank=True, default="")
    made_at = models.DateTimeField(_("made at"), db_default=Now())
    reason = models.TextField(_("reason"), blank=True, default="")
    run_id = models.UUIDField(_("action run"), null=True, blank=True)

    class Meta:
        verbose_name = _("payload version")
        verbose_name_plural = _("payload versions")
        ordering = ("operation", "number")
        constraints = [models.UniqueConstraint(name="payloadversion_number", fields=["operation", "number"])]

    def __str__(self) -> str:
        return f"{self.operation_id} {self.number}"


class EditRule(models.Model):
    """What an edit makes of payloads: a JSON Patch. Its id comes of its content, so the same form sent twice is one run.

    `version` is that of the one row it was written for; a rule for many has none.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    patch = models.JSONField(_("rule"))
    version = models.CharField(max_length=40, blank=True, default="")
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("rule of an edit")
        verbose_name_plural = _("rules of edits")

    def __str__(self) -> str:
        return str(self.pk)


class Attempt(models.Model):
    """One call that was made for an operation: when, how long, what came back. Masked and bounded before it is kept.

    The table is parted by `at` (apps/jobs/partitions.py): attempts leave by the day, whatever becomes of their operation.
    """

    id = models.BigAutoField(primary_key=True)
    # No constraint: dropping a day of attempts would lock the operations, too, and each call would pay for the check.
    operation = models.ForeignKey(
        PendingOperation,
        models.DO_NOTHING,
        related_name="attempt_set",
        db_index=False,
        db_constraint=False,
        verbose_name=_("operation"),
    )
    # The operation's own, so that a service's calls are counted out of one index.
    service = models.ForeignKey(
        Service, models.PROTECT, related_name="+", null=True, db_index=False, db_constraint=False
    )
    at = models.DateTimeField(_("at"), db_default=Now())
    duration_ms = models.PositiveIntegerField(_("milliseconds"), default=0)
    method = models.CharField(_("method"), max_length=8, blank=True, default="")
    url = models.CharField(_("address"), max_length=500, blank=True, default="")
    status_code = models.PositiveSmallIntegerField(_("status"), null=True)
    failure_class = models.CharField(_("failure class"), max_length=20, choices=FailureClass, blank=True, default="")
    excerpt = models.TextField(_("excerpt"), blank=True, default="")
    worker = models.CharField(_("worker"), max_length=120, blank=True, default="")
    stale = models.BooleanField(_("stale"), default=False)
    """The result came after the lease had lapsed: it was not written to the operation."""

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ("-id",)
        indexes = [
            models.Index(name="attempt_operation", fields=["operation", "id"]),
            # How a service did of late: counted without touching a row.
            models.Index(name="attempt_service", fields=["service", "at"], include=["failure_class", "duration_ms"]),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.status_code or self.failure_class}"


class Place(models.Model):
    """One of the places at a queue: so many workers drain it at once (apps/operations/places.py)."""

    id = models.BigAutoField(primary_key=True)
    queue = models.ForeignKey(Queue, models.CASCADE, related_name="+", db_index=False)
    number = models.PositiveSmallIntegerField()
    token = models.BigIntegerField(null=True)
    kept_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("place at a queue")
        verbose_name_plural = _("places at queues")
        constraints = [models.UniqueConstraint(name="place_queue_number", fields=["queue", "number"])]

    def __str__(self) -> str:
        return f"{self.queue} {self.number}"


class Tally(Counts):
    """How many operations stand where. So the status call and the home page never scan the operations."""

    service = models.ForeignKey(Service, models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    queue = models.ForeignKey(Queue, models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    status = models.CharField(max_length=20)
    archived = models.BooleanField()

    class Meta:
        verbose_name = _("tally")
        verbose_name_plural = _("tallies")


class Flow(Counts):
    """How many operations came into a queue, or left it, in a minute.

    In comes what begins to wait: handed in, or sent again after it had been given up. Out goes what is done or given
    up. A call that fails and is tried again later neither comes nor goes.
    """

    kept = ("minute", dt.timedelta(hours=2))

    queue = models.ForeignKey(Queue, models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    minute = models.DateTimeField()
    way = models.CharField(max_length=3)
    """`in` or `out`."""

    class Meta:
        verbose_name = _("flow")
        verbose_name_plural = _("flows")


class Ended(Counts):
    """How many operations ended in a quarter of an hour, done or given up and not archived.

    So the home page and the dashboards never scan what a busy day left behind.
    """

    kept = ("quarter", dt.timedelta(days=2))
    """The trigger counts what ended in this time, and no question reaches further back."""

    service = models.ForeignKey(Service, models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    status = models.CharField(max_length=20)
    quarter = models.DateTimeField()

    class Meta:
        verbose_name = _("tally of ends")
        verbose_name_plural = _("tallies of ends")
