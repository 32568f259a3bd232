"""What a system shows us, and what we remember of a request that it may send twice."""

from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.actions.models import new_id
from apps.actions.verbs import Acted, Given, Verb


class ApiKey(Acted):
    """A key for a system. Only a keyed hash and a short prefix are stored: a dump of the table opens nothing."""

    class Status(models.TextChoices):
        """Whether the key opens anything."""

        ACTIVE = "active", pgettext_lazy("API key", "active")
        """It acts with its group's permissions."""
        REVOKED = "revoked", pgettext_lazy("API key", "revoked")
        """It opens nothing any more."""

    filters = {"status": "status", "name": "name"}
    searches = ("name__icontains", "prefix__iexact")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(_("name"), max_length=120)
    prefix = models.CharField(_("begins with"), max_length=8, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    group = models.ForeignKey(Group, models.PROTECT, verbose_name=_("acts with the permissions of"))
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.ACTIVE, editable=False)
    revoked_reason = models.TextField(_("revoked because"), blank=True, default="", editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)
    """Written at most once a minute."""
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    revoke = Verb(
        _("Revoke"),
        sources=[Status.ACTIVE],
        target=Status.REVOKED,
        sets={"revoked_at": Now(), "revoked_reason": Given("reason")},
        asks=["reason"],
        danger=True,
        help=_("Close this key at once and for good. Systems that still use it are turned away."),
    )

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ("name",)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class IdempotencyRecord(models.Model):
    """The first answer to a request that carried an Idempotency-Key, kept for the one that comes again."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    caller = models.CharField(max_length=150)
    key = models.CharField(max_length=200)
    request_digest = models.CharField(max_length=64)
    status_code = models.PositiveSmallIntegerField(null=True)
    """Empty while the first request is still running."""
    body = models.BinaryField(null=True)
    location = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = _("idempotency record")
        verbose_name_plural = _("idempotency records")
        constraints = [models.UniqueConstraint(name="idempotency_caller_key", fields=["caller", "key"])]
        indexes = [
            models.Index(name="idempotency_age", fields=["created_at"]),
            models.Index(name="idempotency_running", fields=["created_at"], condition=Q(status_code__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.caller}: {self.key}"
