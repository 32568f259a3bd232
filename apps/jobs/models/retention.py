"""How long rows are kept, what was put into files before it was deleted, and how large the tables have become."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.actions.models import new_id
from apps.actions.verbs import Acted, Given, Verb

LONGEST_DAYS = 3650


class RetentionPolicy(Acted):
    """How long the rows of one table are kept, once nobody needs them any more (S1-91, S3-38).

    Which rows that is, and which stay however old they are, stands in the catalogue: `KEPT`.
    """

    class Status(models.TextChoices):
        """Whether its rows leave."""

        ACTIVE = "active", pgettext_lazy("retention policy", "active")
        """What is old enough goes with the next purge."""
        HELD = "held", pgettext_lazy("retention policy", "held")
        """Nothing goes until it is released."""

    policy = True
    filters = {"status": "status", "slug": "slug"}
    searches = ("slug__icontains",)
    wakes = "apps.jobs.tasks.work_off"
    foresees = "apps.jobs.retention.foreseen"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    slug = models.SlugField(_("rows"), max_length=60, unique=True, editable=False)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.ACTIVE, editable=False)
    days = models.PositiveIntegerField(
        _("kept for (days)"),
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_DAYS)],
        help_text=_("Counted from when nothing was left to do with the row. What is in flight or unresolved stays."),
    )
    archives = models.BooleanField(
        _("archive before deleting"),
        default=False,
        help_text=_(
            "Put the rows into compressed files in the data folder first; manage.py archive_restore reads them back."
        ),
    )
    held_at = models.DateTimeField(_("held since"), null=True, blank=True, editable=False)
    held_reason = models.TextField(_("held because"), blank=True, default="", editable=False)
    held_until = models.DateTimeField(_("held until"), null=True, blank=True, editable=False)
    ran_at = models.DateTimeField(_("last purge"), null=True, blank=True, editable=False)
    ran_seconds = models.FloatField(_("seconds"), default=0, editable=False)
    deleted = models.PositiveBigIntegerField(_("deleted"), default=0, editable=False)
    archived = models.PositiveBigIntegerField(_("archived"), default=0, editable=False)
    """Both: by the last purge."""
    last_error = models.TextField(_("last error"), blank=True, default="", editable=False)
    """Why the last purge ended early; empty where it did not."""
    run_id = models.UUIDField(_("job run"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    purge = Verb(
        _("Purge now"),
        sources=[Status.ACTIVE],
        then="apps.jobs.retention.asked",
        danger=True,
        help=_("Delete now what is old enough, off schedule. What is in flight, unresolved or still needed stays."),
    )
    hold = Verb(
        _("Hold"),
        sources=[Status.ACTIVE],
        target=Status.HELD,
        sets={"held_at": Now(), "held_reason": Given("reason"), "held_until": Given("until")},
        asks=["reason", "until"],
        help=_(
            "Let nothing of it go, until a moment or until somebody releases it. A purge that is under way stops there."
        ),
    )
    release = Verb(
        _("Release"),
        sources=[Status.HELD],
        target=Status.ACTIVE,
        sets={"held_at": None, "held_reason": "", "held_until": None},
        help=_("Let what is old enough go again, with the next purge."),
    )

    class Meta:
        verbose_name = _("retention policy")
        verbose_name_plural = _("retention policies")
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.slug


class StorageBudget(models.Model):
    """How large the database may become. There is one; the retention desk counts down to it."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    gigabytes = models.FloatField(
        _("disk budget (GB)"),
        default=50,
        validators=[MinValueValidator(0.1), MaxValueValidator(1_000_000)],
        help_text=_("So much may the whole database take up on disk. The retention desk says when it will be full."),
    )

    class Meta:
        verbose_name = _("disk budget")
        verbose_name_plural = _("disk budget")
        constraints = [models.CheckConstraint(name="storagebudget_one", condition=Q(id=1))]

    def __str__(self) -> str:
        return str(self._meta.verbose_name)

    @classmethod
    def current(cls) -> "StorageBudget":
        """Return the budget as staff left it, or its default."""
        return cls.objects.first() or cls()


class TableSize(models.Model):
    """How large a table was on a day: growth is the difference of two."""

    id = models.BigAutoField(primary_key=True)
    table = models.CharField(_("table"), max_length=63)
    """Empty: the whole database."""
    day = models.DateField(_("day"))
    rows = models.BigIntegerField(_("rows"))
    """As the planner estimates them."""
    bytes = models.BigIntegerField(_("bytes"))
    """With indexes and what is stored aside."""

    class Meta:
        verbose_name = _("table size")
        verbose_name_plural = _("table sizes")
        constraints = [models.UniqueConstraint(name="tablesize_day", fields=["table", "day"])]
        indexes = [models.Index(name="tablesize_age", fields=["day"])]

    def __str__(self) -> str:
        return f"{self.table} {self.day}"


class ArchiveFile(models.Model):
    """A file of rows that were deleted, as far as their deletion was committed: what stands behind `bytes` in it was not."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    policy = models.SlugField(_("rows"), max_length=60)
    path = models.CharField(_("file"), max_length=300, unique=True)
    """Below the folder of archives."""
    rows = models.PositiveBigIntegerField(_("rows"), default=0)
    bytes = models.PositiveBigIntegerField(_("bytes"), default=0)
    closed = models.BooleanField(default=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("archive file")
        verbose_name_plural = _("archive files")
        ordering = ("-id",)
        indexes = [models.Index(name="archivefile_open", fields=["policy"], condition=Q(closed=False))]

    def __str__(self) -> str:
        return self.path
