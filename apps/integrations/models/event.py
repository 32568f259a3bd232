"""Events: what other systems tell us, as they told it, and the sources they come from."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.actions.models import new_id, short
from apps.actions.verbs import Given, Step, Verb
from apps.deadletters.failing import (
    ARCHIVED,
    FORGOTTEN,
    POISON,
    WHY,
    Failing,
    already_due,
    archiving,
    giving_back,
    giving_up_on_silence,
    rescuing,
    restoring,
    words_of_errors,
)
from apps.deadletters.failures import FailureClass
from apps.jobs.models import Pausable, pausing, resuming

ATTEMPTS = 5
UNREADABLE = "unreadable"
"""The error type of what came and cannot be read: only a bounded, masked part of it is kept."""
MEGABYTE = 1024 * 1024


class Scheme(models.TextChoices):
    """How a source proves that an event is its own."""

    KEY = "key", _("API key, at /api/events only")
    """It has no webhook door."""
    STANDARD = "standard", _("Standard Webhooks")
    """`webhook-signature` over id, timestamp and body."""
    CHATWOOT = "chatwoot", _("Chatwoot")
    """`X-Chatwoot-Signature` over timestamp and body."""
    HMAC = "hmac", _("HMAC of the body in X-Webhook-Signature")
    """Says nothing of when it was signed."""
    PATH = "path", _("secret in the address, and a list of addresses")
    """For senders that cannot sign: its events are shown as unsigned."""


class EventSource(Pausable):
    """A system that tells us events: by which door, how it proves itself, and what it may send.

    Its secrets stand in the environment or in secret files, never here: `credentials` only names them.
    """

    class Status(models.TextChoices):
        """Whether its events are processed."""

        ACTIVE = "active", pgettext_lazy("event source", "active")
        """Its events are processed as they come."""
        PAUSED = "paused", pgettext_lazy("event source", "paused")
        """Its events are taken in and wait."""

    held_after_restore = True
    filters = {"status": "status", "slug": "slug", "scheme": "scheme", "because": "paused_reason"}
    searches = ("slug__icontains", "name__icontains")
    wakes = "apps.integrations.tasks.process_events"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    slug = models.SlugField(_("short name"), max_length=60, unique=True)
    name = models.CharField(_("what it is"), max_length=120)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.ACTIVE, editable=False)
    scheme = models.CharField(_("proof"), max_length=20, choices=Scheme, default=Scheme.STANDARD)
    signature_required = models.BooleanField(
        _("signature required"),
        default=True,
        help_text=_("Without it an event that carries no signature is taken in and shown as unsigned."),
    )
    credentials = models.JSONField(
        _("secrets"),
        default=dict,
        blank=True,
        help_text=_(
            "Which environment name or secret file holds the secret, and while it is rotated the next one: "
            '{"current": "SITE_WEBHOOK_SECRET", "next": "SITE_WEBHOOK_SECRET_2"}.'
        ),
    )
    allowed_networks = models.JSONField(
        _("addresses it may send from"),
        default=list,
        blank=True,
        help_text=_('Networks, such as ["203.0.113.0/24"]. Left empty: any address.'),
    )
    cloudevents_source = models.CharField(
        _("source in CloudEvents"),
        max_length=300,
        blank=True,
        default="",
        help_text=_("What its CloudEvents name as their source, where that is not the short name."),
    )
    places = models.JSONField(
        _("where to read what"),
        default=dict,
        blank=True,
        help_text=_(
            'Where its bodies say what: {"type": "event", "id": "event_id", "subject": "deal.id", "time": "updated_at"}. '
            "What is left out is found by the proof's own rules."
        ),
    )
    ordered = models.BooleanField(
        _("older never follows newer"),
        default=True,
        help_text=_(
            "Of one subject an event that is older than one already processed makes nothing. "
            "Switch it off where each event stands for itself."
        ),
    )
    max_bytes = models.PositiveIntegerField(
        _("largest body (bytes)"),
        default=MEGABYTE,
        validators=[MinValueValidator(1024), MaxValueValidator(5 * MEGABYTE)],
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    pause = pausing(_("Hold what this source sends: its events are still taken in and answered, and wait."))
    resume = resuming(_("Process its events again, those that waited first."))

    class Meta:
        verbose_name = _("event source")
        verbose_name_plural = _("event sources")
        ordering = ("slug",)
        constraints = [
            models.UniqueConstraint(
                name="eventsource_cloudevents", fields=["cloudevents_source"], condition=~Q(cloudevents_source="")
            )
        ]

    def __str__(self) -> str:
        return self.slug


class SourceRefusal(models.Model):
    """What was turned away at a source's door, counted by reason and day: whoever knocks often makes no more rows."""

    class Reason(models.TextChoices):
        """Why it was turned away."""

        NO_SIGNATURE = "no_signature", _("no signature")
        BAD_SIGNATURE = "bad_signature", _("bad signature")
        BAD_TIME = "bad_time", _("signed too long ago, or in the future")
        BAD_SECRET = "bad_secret", _("wrong secret in the address")  # a reason, no secret
        BAD_ADDRESS = "bad_address", _("from an address that is not allowed")
        NO_SECRET = "no_secret", _("our secret is not set")  # a reason, no secret
        TOO_LARGE = "too_large", _("too large")
        WRONG_TYPE = "wrong_type", _("not JSON by its content type")

    id = models.BigAutoField(primary_key=True)
    source = models.ForeignKey(EventSource, models.CASCADE, related_name="refusals", db_index=False)
    reason = models.CharField(_("reason"), max_length=20, choices=Reason)
    day = models.DateField(_("day"))
    count = models.PositiveIntegerField(_("times"), default=1)
    last_at = models.DateTimeField(_("last"), db_default=Now())
    last_address = models.CharField(_("last from"), max_length=64, blank=True, default="")

    class Meta:
        verbose_name = _("refusal at a door")
        verbose_name_plural = _("refusals at doors")
        constraints = [models.UniqueConstraint(name="sourcerefusal_day", fields=["source", "day", "reason"])]

    def __str__(self) -> str:
        return f"{self.source_id} {self.reason} {self.count}"


LOST = (Q(error_type=UNREADABLE), _("not readable: only the sender can send it again"))


class IntegrationEvent(Failing):
    """Something another system told us, kept as it came; its source and event id are its double key (S1-110)."""

    class Status(models.TextChoices):
        """Where an event stands."""

        RECEIVED = "received", pgettext_lazy("event", "received")
        """Stored; waits for a worker, or for `due_at`."""
        PROCESSING = "processing", pgettext_lazy("event", "processing")
        """A worker holds it under a lease."""
        PROCESSED = "processed", pgettext_lazy("event", "processed")
        """It became what it was to become, which may be nothing; `outcome` says what."""
        FAILED = "failed", pgettext_lazy("event", "failed")
        """Given up, and waiting for a person as a dead letter."""

    WAITING = (Status.RECEIVED, Status.PROCESSING)
    """Not processed yet: the "pending" events of runbook 1 (S1-105)."""

    class Proof(models.TextChoices):
        """How it proved whose it is."""

        SIGNED = "signed", _("signed")
        """Its signature was checked over the bytes as they came."""
        UNSIGNED = "unsigned", _("unsigned")
        """A secret in the address at most: anybody who learns it can send."""
        KEY = "key", _("API key")
        """Handed in over the API by the key named in `sender`."""

    class Outcome(models.TextChoices):
        """What became of a processed event."""

        NONE = "", _("not yet")
        OPERATIONS = "operations", _("operations")
        """Operations stand for it."""
        NOTHING = "nothing", _("nothing: no endpoint wants it")
        SUPERSEDED = "superseded", _("nothing: a newer one of its subject was there before")
        BY_HAND = "by_hand", _("settled by a person")

    filters = {
        "status": "status",
        "source": "source__slug",
        "type": "event_type",
        "subject": "subject",
        "proof": "proof",
        "outcome": "outcome",
        "class": "failure_class",
        "error": "error_type",
        "trace": "trace_id",
        "attempts": "attempts__gte",
        "archived": "archived_at__isnull",
        "since": "received_at__gte",
        "before": "received_at__lt",
    }
    searches = ("last_error__told__icontains", "event_id", "subject")
    made_at = "received_at"
    heavy = ("body", "data", "headers")
    taken_in = True
    settles = {"confirmed": Q(status="processed"), "failed_again": Q(status="failed")}
    wakes = "apps.integrations.tasks.process_events"
    dead_letter = {
        "service": "source__slug",
        "title": "event_type",
        "entity_id": "subject",
        "error_type": "error_type",
        "failure_class": "failure_class",
        "message": "last_error",
        "attempts": "attempts",
        "source_system": "source__slug",
    }
    """What its dead letter carries, and the column each comes from."""
    dead_letter_payload = "data"
    """The column that a search of dead letters looks through, and that their pages show, masked."""
    dead_letter_mask = "apps.integrations.masking.masked"
    """What masks it."""
    dead_letter_verbs = {"retry": "replay", "resolve": "resolve", "archive": "archive", "restore": "restore"}
    """Which of its verbs a dead letter's verbs run."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.RECEIVED, editable=False)
    source = models.ForeignKey(EventSource, models.PROTECT, related_name="+", verbose_name=_("source"), db_index=False)
    event_id = models.CharField(_("event id"), max_length=300)
    event_type = models.CharField(_("event"), max_length=200)
    subject = models.CharField(_("subject"), max_length=200, blank=True, default="")
    occurred_at = models.DateTimeField(_("happened at"), db_default=Now())
    """As its sender says; without it, when it came."""
    received_at = models.DateTimeField(_("received at"), db_default=Now(), editable=False)
    body = models.BinaryField(_("body"))
    """The bytes as they came; of what cannot be read only a bounded, masked part."""
    content_type = models.CharField(_("content type"), max_length=100, blank=True, default="")
    headers = models.JSONField(_("headers"), default=dict, blank=True)
    """What harmless headers said, and of the others their names."""
    data = models.JSONField(_("data"), null=True, blank=True)
    """What mappings read."""
    trace_id = models.CharField(_("trace"), max_length=32, blank=True, default="")
    """The correlation id: of its `traceparent`, or made here."""
    traceparent = models.CharField(max_length=55, blank=True, default="", editable=False)
    tracestate = models.CharField(max_length=512, blank=True, default="", editable=False)
    proof = models.CharField(_("proof"), max_length=20, choices=Proof)
    sender = models.CharField(_("handed in by"), max_length=150, blank=True, default="")
    """The API key's name, or the address it came from."""
    duplicates = models.PositiveIntegerField(_("duplicates"), default=0)
    duplicate_at = models.DateTimeField(_("last duplicate"), null=True, blank=True)

    max_retries = models.PositiveSmallIntegerField(_("attempts before it is given up"), default=ATTEMPTS)
    anew = models.BooleanField(default=False, editable=False)
    """A person wants its operations made again, though earlier ones stand."""
    outcome = models.CharField(_("became"), max_length=20, choices=Outcome, default=Outcome.NONE, blank=True)
    processed_at = models.DateTimeField(_("processed at"), null=True, blank=True)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    replay = Verb(
        _("Replay"),
        sources=[Status.FAILED, Status.PROCESSED, Status.RECEIVED],
        unless=[ARCHIVED, LOST, already_due(Status.RECEIVED)],
        target=Status.RECEIVED,
        sets={"due_at": Now(), "attempts": 0, "crashes": 0},
        then="apps.deadletters.inbox.retried",
        paced=True,
        help=_(
            "Process it again from what is stored, by the mappings of today. Where an operation of the same mapping "
            "version stands already, no second one is made."
        ),
    )
    replay_anew = Verb(
        _("Replay anew"),
        sources=[Status.FAILED, Status.PROCESSED],
        unless=[ARCHIVED, LOST],
        target=Status.RECEIVED,
        sets={"due_at": Now(), "attempts": 0, "crashes": 0, "anew": True},
        asks=["reason"],
        then="apps.deadletters.inbox.retried",
        danger=True,
        help=_(
            "Process it again and make its operations once more, though earlier ones stand or a newer event was there "
            "before: because you looked, and they are wanted."
        ),
    )
    resolve = Verb(
        _("Resolve"),
        sources=[Status.FAILED],
        unless=[ARCHIVED],
        target=Status.PROCESSED,
        sets={"processed_at": Now(), "outcome": Outcome.BY_HAND, "resolution_note": Given("note")},
        asks=["note"],
        then="apps.deadletters.inbox.resolved",
        help=_("Say that it is settled by other means. Nothing is made of it."),
    )
    archive = archiving(_("Put it away unprocessed. It leaves counts, thresholds and bulk verbs until it is restored."))
    restore = restoring(_("Bring an archived event back among the failed ones."))

    claim = Step(_("Claim"), sources=[Status.RECEIVED], target=Status.PROCESSING)
    """A worker takes it under a lease and a token."""
    finish = Step(
        _("Finish"),
        sources=[Status.PROCESSING],
        target=Status.PROCESSED,
        sets={
            **FORGOTTEN,
            "attempts": F("attempts") + 1,
            "processed_at": Now(),
            "outcome": Given("outcome"),
            "anew": False,
        },
        then="apps.deadletters.inbox.settled",
    )
    """In the transaction that makes its operations: both are there, or neither is."""
    give_back = giving_back(Status.RECEIVED)
    """Not this time: due again after a wait that doubles."""
    fail = Step(
        _("Fail"),
        sources=[Status.PROCESSING],
        target=Status.FAILED,
        sets={
            "attempts": F("attempts") + 1,
            "failed_at": Now(),
            "anew": False,
            **WHY,
            "error_fields": Given("error_fields"),
        },
        then="apps.deadletters.inbox.opened",
    )
    """Given up: its dead letter opens in the same transaction."""
    reject = Step(
        _("Fail"),
        sources=[Status.RECEIVED],
        target=Status.FAILED,
        sets={
            "failed_at": Now(),
            "failure_class": FailureClass.PERMANENT_DATA,
            "error_type": UNREADABLE,
            "last_error": Given("last_error"),
        },
        then="apps.deadletters.inbox.opened",
    )
    """It cannot be read: failed as it comes in, in the transaction that stores it."""
    rescue = rescuing(Status.RECEIVED)
    """Its worker fell silent. Nothing was made of it: what it becomes commits with its end."""
    bury = giving_up_on_silence(**POISON)
    """It took its worker down for the fourth time."""

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ("-id",)
        constraints = [models.UniqueConstraint(name="event_double_key", fields=["source", "event_id"])]
        indexes = [
            # What a worker claims.
            models.Index(name="event_due", fields=["due_at", "id"], condition=Q(status="received")),
            # Tried, and to be tried again: the retry queue.
            models.Index(name="event_retrying", fields=["due_at"], condition=Q(status="received", attempts__gt=0)),
            # Lists, counts and bulk verbs by state, walking the key.
            models.Index(name="event_status", fields=["status", "id"], condition=Q(archived_at__isnull=True)),
            models.Index(name="event_source", fields=["source", "id"]),
            models.Index(name="event_type", fields=["event_type", "id"]),
            # The day's figures by state, type and source, from the index alone.
            models.Index(
                name="event_today",
                fields=["received_at", "source", "event_type", "status"],
                condition=Q(archived_at__isnull=True),
            ),
            # Is there a newer one of this subject that was processed?
            models.Index(
                name="event_newest",
                fields=["source", "subject", "occurred_at"],
                condition=Q(outcome="operations") & ~Q(subject=""),
            ),
            # Rare words of the list's filters; an event that becomes operations pays for none of them.
            models.Index(
                name="event_outcome",
                fields=["outcome", "id"],
                condition=Q(outcome__in=["nothing", "superseded", "by_hand"]),
            ),
            # What is held now: the rescue and the renewal.
            models.Index(name="event_leased", fields=["lease_until"], condition=Q(status="processing")),
            models.Index(name="event_held", fields=["token"], condition=Q(token__isnull=False)),
            # What people search for: ids, subjects, traces, words of errors.
            models.Index(name="event_event_id", fields=["event_id"]),
            models.Index(name="event_subject", fields=["subject", "id"], condition=~Q(subject="")),
            models.Index(name="event_trace", fields=["trace_id"]),
            models.Index(name="event_class", fields=["failure_class", "id"], condition=~Q(failure_class="")),
            models.Index(name="event_archived", fields=["id"], condition=Q(archived_at__isnull=False)),
            words_of_errors("event_error_told"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {short(self.pk)}"
