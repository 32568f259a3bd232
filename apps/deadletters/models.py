"""Dead letters: work given up on, of any kind, waiting for a person; and the families of those that failed alike."""

import datetime as dt

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.core.validators import MaxValueValidator, URLValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now, Upper
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.actions.models import new_id, short
from apps.actions.tallies import Counts
from apps.actions.verbs import Acted, FormVerb, Given, Step, Verb
from apps.deadletters.failures import TRANSIENT, FailureClass

YEAR = 365 * 24 * 60
"""In minutes."""


def _transient_classes() -> list[str]:
    return [str(each) for each in TRANSIENT]


_WAITS = Q(status="unresolved")
_IN_INBOX = Q(status__in=["unresolved", "retrying"])


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
        "family": "fingerprint",
        "tenant": "tenant",
        "attempts": "attempts__gte",
        "since": "opened_at__gte",
        "before": "opened_at__lt",
    }
    spelled = {"family": "apps.deadletters.causes.called"}
    searches = ("searched__words__icontains", "source_id")
    live_rows = ~Q(status="archived")
    settles = {"confirmed": Q(status="resolved"), "failed_again": Q(status="unresolved")}
    wakes = "apps.jobs.tasks.tick"
    leads = "apps.deadletters.inbox.leads"
    leaves = "apps.jobs.retention.leaving"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.UNRESOLVED, editable=False)
    source_kind = models.CharField(_("kind of work"), max_length=100)
    source_id = models.UUIDField(_("source"))
    title = models.CharField(_("what"), max_length=200)
    source_system = models.CharField(_("handed in by"), max_length=150, blank=True, default="")
    service = models.CharField(_("service"), max_length=60, blank=True, default="")
    tenant = models.CharField(_("tenant"), max_length=60, blank=True, default="")
    entity_type = models.CharField(_("entity"), max_length=60, blank=True, default="")
    entity_id = models.CharField(_("entity id"), max_length=200, blank=True, default="")
    error_type = models.CharField(_("error type"), max_length=100)
    failure_class = models.CharField(_("failure class"), max_length=20, choices=FailureClass)
    message = models.TextField(_("error"))
    fingerprint = models.CharField(_("family"), max_length=40)
    """What makes failures alike: kind, service, error type and the message without ids, numbers and quoted values."""
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
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
    edit = FormVerb(
        _("Edit and retry"),
        page="operations_pendingoperation_edit",
        sources=[Status.UNRESOLVED],
        target=Status.RETRYING,
        asks=["reason", "rule"],
        paced=True,
        help=_("Change what its source sends, and send it again now under the same key."),
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
            "attempts": Given("attempts"),
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
            models.Index(name="deadletter_family", fields=["fingerprint", "id"]),
            # Since when, until when and how often a family failed.
            models.Index(name="deadletter_arrival", fields=["fingerprint", "opened_at"]),
            models.Index(name="deadletter_waiting", fields=["fingerprint", "opened_at"], condition=_WAITS),
            models.Index(name="deadletter_opened", fields=["opened_at"], condition=_IN_INBOX),
            # The oldest and newest of an error and an entity (S4-59).
            models.Index(
                name="deadletter_grouped", fields=["error_type", "entity_type", "opened_at"], condition=_WAITS
            ),
            # Words of the list's filters.
            models.Index(name="deadletter_class", fields=["failure_class", "id"]),
            models.Index(name="deadletter_error", fields=["error_type", "id"]),
            models.Index(name="deadletter_service", fields=["service", "id"]),
            models.Index(name="deadletter_what", fields=["title", "id"]),
            models.Index(name="deadletter_tenant", fields=["tenant", "id"], condition=~Q(tenant="")),
        ]

    def __str__(self) -> str:
        return f"{self.title} {short(self.source_id)}"


class LetterWords(models.Model):
    """What a search looks through of a dead letter: the error, the entity's id and the source's payload, masked and bounded.

    Beside its row, for an index of words costs as much as all the others, and each move of a row writes all of its indexes.
    """

    letter = models.OneToOneField(
        DeadLetter, models.CASCADE, primary_key=True, related_name="searched", db_constraint=False
    )
    words = models.TextField()

    class Meta:
        verbose_name = _("words of a dead letter")
        verbose_name_plural = _("words of dead letters")
        indexes = [GinIndex(OpClass(Upper("words"), "gin_trgm_ops"), name="letterwords_words")]

    def __str__(self) -> str:
        return self.words[:50]


class FailureFamily(Acted):
    """Dead letters that failed alike, by their fingerprint: who sees to them, and what is known of them.

    A family is made with its first dead letter and holds no count: drains that give up never wait for each other over
    it. How many there are is the database's tally (apps/deadletters/backlog.py).
    """

    class Status(models.TextChoices):
        """Where a family stands."""

        OPEN = "open", pgettext_lazy("failure family", "open")
        """Nobody has taken it up yet, or it came back."""
        ACKNOWLEDGED = "acknowledged", pgettext_lazy("failure family", "acknowledged")
        """Somebody sees to it."""
        IGNORED = "ignored", pgettext_lazy("failure family", "ignored")
        """Its dead letters are kept and counted, and not shouted about, until a moment or until somebody takes it up."""
        RESOLVED = "resolved", pgettext_lazy("failure family", "resolved")
        """The cause is mended; a new dead letter opens it again."""

    filters = {
        "status": "status",
        "service": "service",
        "type": "error_type",
        "class": "failure_class",
        "owner": "owner",
        "title": "title",
        "family": "fingerprint",
        "since": "first_seen_at__gte",
    }
    spelled = {"family": "apps.deadletters.causes.called"}
    searches = ("message__icontains",)
    annotated = True

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.OPEN, editable=False)
    fingerprint = models.CharField(_("fingerprint"), max_length=40, unique=True, editable=False)
    source_kind = models.CharField(_("kind of work"), max_length=100, editable=False)
    title = models.CharField(_("what"), max_length=200, editable=False)
    service = models.CharField(_("service"), max_length=60, blank=True, default="", editable=False)
    error_type = models.CharField(_("error type"), max_length=100, editable=False)
    failure_class = models.CharField(_("failure class"), max_length=20, choices=FailureClass, editable=False)
    message = models.TextField(_("first error"), editable=False)
    owner = models.CharField(_("owner"), max_length=150, blank=True, default="", editable=False)
    note = models.TextField(
        _("note"), max_length=4000, blank=True, default="", help_text=_("What is known of it, for whoever comes next.")
    )
    ticket_url = models.URLField(
        _("ticket"),
        max_length=500,
        blank=True,
        default="",
        validators=[URLValidator(schemes=["https"], message=_("A ticket is linked by an https address."))],
    )
    ignored_until = models.DateTimeField(_("ignored until"), null=True, blank=True, editable=False)
    resolution_note = models.TextField(_("how it was mended"), blank=True, default="", editable=False)
    first_seen_at = models.DateTimeField(_("first seen"), db_default=Now(), editable=False)
    resolved_at = models.DateTimeField(_("resolved at"), null=True, blank=True, editable=False)
    regressed_at = models.DateTimeField(_("came back"), null=True, blank=True, editable=False)
    regressions = models.PositiveIntegerField(_("times it came back"), default=0, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    acknowledge = Verb(
        _("Acknowledge"),
        sources=[Status.OPEN, Status.ACKNOWLEDGED, Status.IGNORED, Status.RESOLVED],
        target=Status.ACKNOWLEDGED,
        sets={"owner": Given("owner"), "ignored_until": None, "resolved_at": None},
        asks=["owner"],
        help=_("Say who sees to it. Its dead letters stay where they are."),
    )
    ignore = Verb(
        _("Ignore"),
        sources=[Status.OPEN, Status.ACKNOWLEDGED, Status.IGNORED],
        target=Status.IGNORED,
        sets={"ignored_until": Given("until")},
        asks=["until"],
        help=_("Leave it out of the home page. Its dead letters are still kept, counted and listed."),
    )
    resolve = Verb(
        _("Resolve"),
        sources=[Status.OPEN, Status.ACKNOWLEDGED, Status.IGNORED],
        target=Status.RESOLVED,
        sets={"resolved_at": Now(), "resolution_note": Given("note"), "ignored_until": None},
        asks=["note"],
        help=_("Say that the cause is mended. What waits is retried or archived apart; a new failure opens it again."),
    )
    regress = Step(
        _("Regress"),
        sources=[Status.RESOLVED, Status.IGNORED],
        unless=[
            (
                Q(status=Status.IGNORED) & (Q(ignored_until__isnull=True) | Q(ignored_until__gt=Now())),
                _("ignored for now"),
            )
        ],
        target=Status.OPEN,
        sets={
            "regressions": F("regressions") + 1,
            "regressed_at": Now(),
            "ignored_until": None,
            "resolved_at": None,
        },
    )
    """It failed again after it was called mended, or its time of being ignored is over."""

    class Meta:
        verbose_name = _("failure family")
        verbose_name_plural = _("failure families")
        ordering = ("-id",)
        indexes = [
            models.Index(name="family_status", fields=["status", "id"]),
            models.Index(name="family_owner", fields=["owner", "id"], condition=~Q(owner="")),
            GinIndex(OpClass(Upper("message"), "gin_trgm_ops"), name="family_message_words"),
        ]

    def __str__(self) -> str:
        return f"{self.title}: {self.error_type}" if self.error_type else self.title

    @classmethod
    def of(cls, letter: DeadLetter) -> "FailureFamily":
        """Return the family that a dead letter is the first of."""
        shared = ("fingerprint", "source_kind", "title", "service", "error_type", "failure_class", "message")
        return cls(**{name: getattr(letter, name) for name in shared})


class Tally(Counts):
    """How many dead letters stand where."""

    status = models.CharField(max_length=20)
    fingerprint = models.CharField(max_length=40)
    title = models.CharField(max_length=200)
    error_type = models.CharField(max_length=100)
    entity_type = models.CharField(max_length=60)
    service = models.CharField(max_length=60)
    tenant = models.CharField(max_length=60)

    class Meta:
        verbose_name = _("tally")
        verbose_name_plural = _("tallies")
        indexes = [
            models.Index(name="tally_status", fields=["status", "fingerprint"]),
            models.Index(name="tally_family", fields=["fingerprint"]),
        ]


class TransientRule(models.Model):
    """Which dead letters `resolve-transient` resolves (S4-60, S4-63). There is one; its defaults are the runbook's."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    classes = ArrayField(
        models.CharField(max_length=20, choices=FailureClass),
        verbose_name=_("failure classes"),
        default=_transient_classes,
        help_text=_("What passes by itself."),
    )
    older_than_minutes = models.PositiveIntegerField(
        _("older than, in minutes"),
        default=0,
        validators=[MaxValueValidator(YEAR)],
        help_text=_("Given up at least so long ago; 0: however young."),
    )
    attempts_at_least = models.PositiveSmallIntegerField(
        _("attempts at least"), default=0, help_text=_("So many calls were made before it was given up.")
    )

    class Meta:
        verbose_name = _("rule for transient failures")
        verbose_name_plural = _("rule for transient failures")
        constraints = [models.CheckConstraint(name="transientrule_one", condition=Q(id=1))]

    def __str__(self) -> str:
        return str(self._meta.verbose_name)

    @classmethod
    def current(cls) -> "TransientRule":
        """Return the rule as staff left it, or its defaults."""
        return cls.objects.first() or cls()

    def filters(self, now: dt.datetime) -> dict[str, str]:
        """Return the words that select what the rule means at a moment of the database's clock."""
        words = {"status": str(DeadLetter.Status.UNRESOLVED), "class": ",".join(sorted(self.classes))}
        if self.older_than_minutes:
            words["before"] = (now - dt.timedelta(minutes=self.older_than_minutes)).isoformat()
        if self.attempts_at_least:
            words["attempts"] = str(self.attempts_at_least)
        return words
