"""Action runs and their items: the record of every verb that was asked for, and of every row that moved."""

from collections.abc import Collection, Sequence
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Case, F, Q, When
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from uuid6 import uuid7

from apps.actions.actors import Door
from apps.actions.leases import RELEASED, Leased
from apps.actions.shown import Shown
from apps.actions.verbs import Given, Step, Verb


def new_id() -> UUID:
    """Return a UUIDv7: walking such a key is walking time."""
    return UUID(int=uuid7().int)


def short(key: UUID) -> str:
    """Return what people call a row by: the tail of its id, since the head is only the moment it was made."""
    return str(key)[-8:]


class ActionRun(Leased):
    """One asking of a verb: who, through which door, why, on what, how far it is, and what became of it."""

    class Status(models.TextChoices):
        """Where a run stands."""

        QUEUED = "queued", pgettext_lazy("action run", "queued")
        """Waits for a worker to begin, or to release its next rows."""
        RUNNING = "running", pgettext_lazy("action run", "running")
        """A worker is releasing rows."""
        PAUSED = "paused", pgettext_lazy("action run", "paused")
        """A person holds it: nothing more is released until it is resumed."""
        STOPPED = "stopped", pgettext_lazy("action run", "stopped")
        """It stopped by itself: too many of the released rows failed again."""
        WATCHING = "watching", pgettext_lazy("action run", "watching")
        """All rows are released; it waits to see them settle."""
        FINISHED = "finished", pgettext_lazy("action run", "finished")
        """Nothing is left to do or to watch."""
        CANCELLED = "cancelled", pgettext_lazy("action run", "cancelled")
        """A person ended it; what had moved stays moved."""

    OPEN = (Status.QUEUED, Status.RUNNING, Status.PAUSED, Status.STOPPED)
    """Rows may still be released."""

    shown_once: Sequence[Shown] = ()
    """What this asking made that is shown once. No column: it is gone with the answer."""

    filters = {"status": "status", "verb": "verb", "kind": "kind", "door": "door", "actor": "actor_name"}

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.QUEUED)
    verb = models.CharField(_("verb"), max_length=60)
    kind = models.CharField(_("kind"), max_length=100)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("actor")
    )
    actor_name = models.CharField(_("actor"), max_length=150)
    door = models.CharField(_("door"), max_length=20, choices=Door)
    given = models.JSONField(_("given"), default=dict, blank=True)
    selection = models.JSONField(_("selection"), default=dict)
    selection_words = models.TextField(_("selection"), blank=True, default="")
    over = models.CharField(max_length=64, blank=True, default="", editable=False)
    """What tells one filter from another: of the open runs of a verb, one alone is over a filter."""
    language = models.CharField(max_length=10, default="en", editable=False)
    """The language of the one who asked: refusals are written down in it."""
    idempotency_key = models.CharField(_("idempotency key"), max_length=200, null=True, editable=False)  # noqa: DJ001 # null: unique over those that have one

    total = models.PositiveIntegerField(_("rows"), default=0)
    moved = models.PositiveIntegerField(_("moved"), default=0)
    refused = models.PositiveIntegerField(_("refused"), default=0)
    refusals = models.JSONField(_("refusals"), default=dict)
    """How many rows were refused, by sentence."""
    refused_rows = models.JSONField(_("refused rows"), default=list)
    """The first thousand refused rows: id and sentence."""
    walked_to = models.UUIDField(null=True, editable=False)
    """The last key looked at: the next batch begins behind it."""

    due_at = models.DateTimeField(db_default=Now(), editable=False)
    """When a worker takes it up again, while the window, the rate or a stage holds it."""
    paced = models.BooleanField(_("paced"), default=False)
    rate_per_second = models.FloatField(_("rows per second"), null=True, blank=True)
    window = models.PositiveIntegerField(_("unsettled at most"), default=500)
    stop_share = models.FloatField(_("stops when more than this share fails again"), default=0.2)
    stage = models.PositiveSmallIntegerField(_("stage"), default=0)
    stage_started_at = models.DateTimeField(null=True, editable=False)
    stage_moved = models.PositiveIntegerField(default=0, editable=False)
    """Rows that had moved when the stage began: the rate counts from there."""
    confirmed = models.PositiveIntegerField(_("confirmed"), default=0)
    failed_again = models.PositiveIntegerField(_("failed again"), default=0)
    forgiven = models.PositiveIntegerField(default=0, editable=False)
    """Failures a person has seen and resumed over: they stop the run no more."""
    stop_reason = models.TextField(_("stopped because"), blank=True, default="")

    created_at = models.DateTimeField(_("asked at"), db_default=Now(), editable=False)
    started_at = models.DateTimeField(_("started at"), null=True, editable=False)
    released_at = models.DateTimeField(_("released at"), null=True, editable=False)
    finished_at = models.DateTimeField(_("finished at"), null=True, editable=False)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    pause = Verb(
        _("Pause"),
        sources=[Status.QUEUED, Status.RUNNING],
        target=Status.PAUSED,
        sets={**RELEASED, "stop_reason": Given("note")},
        asks=["note"],
        help=_("Release nothing more until it is resumed. What is released goes on."),
    )
    resume = Verb(
        _("Resume"),
        sources=[Status.PAUSED, Status.STOPPED],
        target=Status.QUEUED,
        sets={
            "stop_reason": "",
            "forgiven": F("failed_again"),
            "crashes": 0,
            "due_at": Now(),
            # The rate counts from here: a pause saves nothing up.
            "stage_started_at": Now(),
            "stage_moved": F("moved"),
        },
        help=_("Go on releasing where it stopped."),
    )
    cancel = Verb(
        _("Cancel"),
        sources=[Status.QUEUED, Status.RUNNING, Status.PAUSED, Status.STOPPED],
        target=Status.CANCELLED,
        sets={**RELEASED, "finished_at": Now(), "stop_reason": Given("note")},
        asks=["note"],
        danger=True,
        help=_("Release nothing more, for good. What has moved stays moved."),
    )
    advance = Step(
        _("Advance"),
        sources=[Status.QUEUED, Status.RUNNING],
        target=Status.RUNNING,
        sets={"crashes": F("crashes") + Case(When(status="running", then=1), default=0)},
    )
    """A worker takes the run to release its next rows. A crash in between repeats nothing: batch and progress commit together."""
    wait = Step(
        _("Wait"),
        sources=[Status.RUNNING],
        target=Status.QUEUED,
        sets={**RELEASED, "due_at": Now() + Given("pause", models.DurationField())},
    )
    """The window, the rate or a stage holds it, or others wait too: a worker takes it up again when it is due."""
    stop = Step(
        _("Stop"),
        sources=[Status.RUNNING],
        target=Status.STOPPED,
        sets={**RELEASED, "stop_reason": Given("stop_reason")},
    )
    watch = Step(_("Watch"), sources=[Status.RUNNING], target=Status.WATCHING, sets={**RELEASED, "released_at": Now()})
    settle = Step(
        _("Settle"),
        sources=[Status.RUNNING, Status.WATCHING],
        target=Status.FINISHED,
        sets={"finished_at": Now(), **RELEASED},
    )
    """May finish with rows still open: after fifteen minutes it reports them as such."""

    class Meta:
        verbose_name = _("action run")
        verbose_name_plural = _("action runs")
        ordering = ("-id",)
        constraints = [
            # Two clicks are one run, however close together: the database decides.
            models.UniqueConstraint(name="actionrun_key", fields=["actor_name", "idempotency_key"]),
            models.UniqueConstraint(
                name="actionrun_over",
                fields=["kind", "verb", "over"],
                condition=~Q(over="") & Q(status__in=["queued", "running", "paused", "stopped"]),
            ),
        ]
        indexes = [
            models.Index(
                name="actionrun_unfinished",
                fields=["status", "id"],
                condition=~Q(status__in=["finished", "cancelled"]),
            ),
            models.Index(name="actionrun_kind", fields=["kind", "id"]),
            models.Index(name="actionrun_actor", fields=["actor_name", "id"]),
            # The earlier runs over one filter: what worked last time.
            models.Index(name="actionrun_filter", fields=["kind", "over", "id"], condition=~Q(over="")),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.selection_words or self.kind}"

    def get_absolute_url(self) -> str:
        """Return the page that shows how far the run is."""
        return reverse("admin:actions_actionrun_change", args=[self.pk])

    @property
    def slipped(self) -> int:
        """Rows that were in the selection when it was asked for, and had left it when their turn came."""
        walked = self.status in (self.Status.WATCHING, self.Status.FINISHED)
        return max(self.total - self.moved - self.refused, 0) if walked else 0

    @property
    def still_open(self) -> int:
        """Rows that moved and have neither succeeded nor failed again yet."""
        return max(self.moved - self.confirmed - self.failed_again, 0)


class ActionItem(models.Model):
    """What came of one row of a run; or, without a run, a step that leaves no record of its own."""

    class Outcome(models.TextChoices):
        """What became of a moved row, where the verb is watched."""

        UNKNOWN = "", pgettext_lazy("action item", "still open")
        CONFIRMED = "confirmed", pgettext_lazy("action item", "confirmed")
        FAILED_AGAIN = "failed_again", pgettext_lazy("action item", "failed again")

    id = models.BigAutoField(primary_key=True)
    # No constraint: a run writes its own items in its own transaction, and checking each one halved the speed.
    run = models.ForeignKey(
        ActionRun, models.CASCADE, null=True, related_name="items", db_index=False, db_constraint=False
    )
    kind = models.CharField(_("kind"), max_length=100)
    object_id = models.UUIDField(_("row"))
    verb = models.CharField(_("verb"), max_length=60)
    from_status = models.CharField(_("from"), max_length=20)
    to_status = models.CharField(_("to"), max_length=20)
    actor_name = models.CharField(_("actor"), max_length=150)
    outcome = models.CharField(_("outcome"), max_length=20, choices=Outcome, default=Outcome.UNKNOWN, blank=True)
    created_at = models.DateTimeField(_("at"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("history item")
        verbose_name_plural = _("history")
        ordering = ("-id",)
        indexes = [
            models.Index(name="actionitem_object", fields=["object_id", "id"]),
            models.Index(name="actionitem_run", fields=["run", "id"], condition=Q(run__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.verb}: {self.from_status} → {self.to_status}"


def history_of(object_id: UUID) -> "models.QuerySet[ActionItem, ActionItem]":
    """Return what happened to a row, newest first, with the runs that people asked for."""
    return ActionItem.objects.filter(object_id=object_id).select_related("run")


def last_actors(keys: Collection[UUID], verbs: Collection[str]) -> dict[UUID, str]:
    """Return who took one of the verbs last on each of the rows."""
    acts = ActionItem.objects.filter(object_id__in=keys, verb__in=verbs)
    newest = acts.order_by("object_id", "-id").distinct("object_id")
    return dict(newest.values_list("object_id", "actor_name"))


class SavedView(models.Model):
    """A list as somebody wants to see it again: its filter, search and order under a name, their own or for everybody."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(_("kind"), max_length=100, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", editable=False)
    name = models.CharField(_("name"), max_length=60)
    words = models.JSONField(_("filter"), default=dict, editable=False)
    """The words of the list's address: filter, search (`q`) and order (`o`)."""
    shared = models.BooleanField(_("for everybody who may see this list"), default=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        ordering = ("name", "id")
        constraints = [models.UniqueConstraint(name="savedview_name", fields=["owner", "kind", "name"])]
        indexes = [models.Index(name="savedview_shared", fields=["kind", "name"], condition=Q(shared=True))]

    def __str__(self) -> str:
        return self.name

    @property
    def query(self) -> str:
        """The address of the list, from its question mark on."""
        return f"?{urlencode(self.words)}"


class Installation(models.Model):
    """A database that the console has lived in; the newest is its own (apps/actions/installations.py)."""

    id = models.BigAutoField(primary_key=True)
    place = models.CharField(max_length=120)
    """Cluster, database, table and timeline, as `actions_place()` says them."""
    found_at = models.DateTimeField(db_default=Now())
    last_sign_at = models.DateTimeField(null=True)
    """The newest sign of life in a database that was restored: about when its backup was made."""
    settled_at = models.DateTimeField(null=True)
    """Until then nothing is claimed in it."""
    reason = models.TextField(blank=True, default="")
    """Why everything was paused; empty for the first database, and for a standby that took over."""

    class Meta:
        verbose_name = _("installation")
        verbose_name_plural = _("installations")

    def __str__(self) -> str:
        return self.place
