"""What a system shows us, who used it from where, and what we remember of a request that it may send twice."""

import datetime as dt

from django.contrib.auth.models import Group
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import DateTimeField, F, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Least, Now
from django.utils.timesince import timesince
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from apps.actions.models import new_id
from apps.actions.verbs import Acted, Given, Step, Verb

OVERLAP = dt.timedelta(days=7)
"""So long a rotated key stays open beside its successor, where no moment is named."""
ROTATED_EVERY_DAYS = 90
"""A quarter (S1-88)."""
STILL_USED = dt.timedelta(days=30)
"""Whoever showed a key within this time may still need it."""
USES_TOLD = 20


class ApiKey(Acted):
    """A key for a system. Only a keyed hash and a short prefix are stored: a dump of the table opens nothing."""

    class Status(models.TextChoices):
        """Whether the key opens anything."""

        ACTIVE = "active", pgettext_lazy("API key", "active")
        """It acts with its group's permissions, as far as its scopes let it, until it expires."""
        REVOKED = "revoked", pgettext_lazy("API key", "revoked")
        """It opens nothing any more."""

    filters = {"status": "status", "name": "name", "due_before": "due_at__lte", "expires_before": "expires_at__lte"}
    searches = ("name__icontains", "prefix__iexact")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(_("name"), max_length=120, help_text=_("The system that will show it."))
    prefix = models.CharField(_("begins with"), max_length=8, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    group = models.ForeignKey(
        Group,
        models.PROTECT,
        verbose_name=_("acts with the permissions of"),
        help_text=_("It may never do more than this group."),
    )
    scopes = ArrayField(
        models.CharField(max_length=120),
        verbose_name=_("scopes"),
        default=list,
        blank=True,
        help_text=_(
            "What of it: noun:verb, such as pending-operations:retry, pending-operations:*, *:view. "
            "Empty: all that its group may."
        ),
    )
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.ACTIVE, editable=False)
    expires_at = models.DateTimeField(
        _("expires at"), null=True, blank=True, help_text=_("It opens nothing from then on. Empty: it does not expire.")
    )
    lifetime = models.DurationField(null=True, editable=False)
    """How long it was made for: its successor is made for as long."""
    rotation_days = models.PositiveSmallIntegerField(
        _("rotate after (days)"),
        default=ROTATED_EVERY_DAYS,
        validators=[MinValueValidator(1), MaxValueValidator(3650)],
    )
    due_at = models.DateTimeField(
        _("rotate by"), db_default=Now() + Value(dt.timedelta(days=ROTATED_EVERY_DAYS)), editable=False
    )
    rotated_at = models.DateTimeField(_("rotated at"), null=True, editable=False)
    replaces = models.OneToOneField(
        "self",
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="successor",
        verbose_name=_("takes the place of"),
    )
    revoked_reason = models.TextField(_("revoked because"), blank=True, default="", editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)
    """Written at most once a minute."""
    last_used_from = models.GenericIPAddressField(_("last used from"), null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    rotate = Verb(
        _("Rotate"),
        sources=[Status.ACTIVE],
        unless=[
            (Q(expires_at__lte=Now()), _("expired: make a new key")),
            (Q(rotated_at__isnull=False), _("already rotated: rotate its successor")),
        ],
        sets={
            "rotated_at": Now(),
            "expires_at": Least(
                F("expires_at"),
                Coalesce(Given("until", DateTimeField()), Now() + Value(OVERLAP), output_field=DateTimeField()),
            ),
        },
        asks=["until"],
        hints={"until": _("The old key closes by itself then. Left empty: in seven days.")},
        then="apps.integrations.keys.succeed",
        shows="apps.integrations.keys.require_no_more",
        danger=True,
        help=_(
            "Make a successor with the same name, group and scopes, and show it once. The old key stays open until a moment, "
            "seven days from now where none is named, and then closes by itself."
        ),
    )
    revoke = Verb(
        _("Revoke"),
        sources=[Status.ACTIVE],
        target=Status.REVOKED,
        sets={"revoked_at": Now(), "revoked_reason": Given("reason")},
        asks=["reason"],
        danger=True,
        help=_("Close this key at once and for good. Systems that still use it are turned away."),
    )
    lapse = Step(
        _("Lapse"),
        sources=[Status.ACTIVE],
        target=Status.REVOKED,
        sets={"revoked_at": F("expires_at"), "revoked_reason": Given("reason")},
    )
    """Its time is over. It opened nothing from that moment on; this only writes it down."""

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ("name",)
        indexes = [models.Index(name="apikey_open", fields=["expires_at"], condition=Q(status="active"))]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @staticmethod
    def effects(verb: Verb, rows: "QuerySet[ApiKey]") -> list[str]:
        """Say before a key is closed who may still need it."""
        uses = KeyUse.objects.filter(key__in=rows.filter(status=ApiKey.Status.ACTIVE), at__gt=Now() - STILL_USED)
        told = uses.select_related("key").annotate(now=Now()).order_by("-at")[:USES_TOLD]
        words = gettext("Still used: %(key)s, last %(age)s ago from %(address)s.")
        return [
            words
            % {"key": use.key, "age": timesince(use.at, use.now), "address": use.address or gettext("this machine")}
            for use in told
        ]


class KeyUse(models.Model):
    """From which address a key was shown, and when last: written at most once a minute."""

    id = models.BigAutoField(primary_key=True)
    key = models.ForeignKey(ApiKey, models.CASCADE, related_name="uses")
    address = models.CharField(max_length=45, blank=True)
    """Empty where the request came over a socket of this machine."""
    at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = _("use of an API key")
        verbose_name_plural = _("uses of API keys")
        constraints = [models.UniqueConstraint(name="keyuse_key_address", fields=["key", "address"])]
        indexes = [models.Index(name="keyuse_age", fields=["at"])]

    def __str__(self) -> str:
        return f"{self.key_id}: {self.address}"


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
