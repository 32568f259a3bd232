"""Who comes through our own doors: how many requests each may send, and whom we turned away."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class RateLimit(models.Model):
    """How many requests one client may send in how long. A policy: staff change it, and it holds within seconds."""

    class Name(models.TextChoices):
        """What is counted."""

        READS_AND_VERBS = "reads-and-verbs", pgettext_lazy("rate limit", "a key that reads and runs verbs")
        HANDING_IN = "handing-in", pgettext_lazy("rate limit", "a key that hands work in")
        ADDRESS = "address", pgettext_lazy("rate limit", "an address, whatever it shows")
        TURNED_AWAY = "turned-away", pgettext_lazy("rate limit", "an address that is turned away")

    SHIPPED = {Name.READS_AND_VERBS: 60, Name.HANDING_IN: 6_000, Name.ADDRESS: 12_000, Name.TURNED_AWAY: 60}
    """A minute, where no row says otherwise."""

    name = models.CharField(_("who"), max_length=30, primary_key=True, choices=Name, editable=False)
    requests = models.PositiveIntegerField(
        _("requests"), validators=[MinValueValidator(1), MaxValueValidator(1_000_000)]
    )
    seconds = models.PositiveIntegerField(
        _("in so many seconds"), default=60, validators=[MinValueValidator(1), MaxValueValidator(3600)]
    )

    class Meta:
        verbose_name = _("rate limit")
        verbose_name_plural = _("rate limits")
        ordering = ("name",)

    def __str__(self) -> str:
        return str(self.get_name_display())


class AccessRefusal(models.Model):
    """Somebody was turned away: one row an hour for each client and reason. What was shown as a key is never in it."""

    class Reason(models.TextChoices):
        """Why."""

        KEY_REQUIRED = "key_required", pgettext_lazy("turned away", "no key")
        INVALID_KEY = "invalid_key", pgettext_lazy("turned away", "unknown key")
        CLOSED_KEY = "closed_key", pgettext_lazy("turned away", "key revoked, expired or rotated")
        NOT_PERMITTED = "not_permitted", pgettext_lazy("turned away", "no permission")
        RATE_LIMITED = "rate_limited", pgettext_lazy("turned away", "too many requests")
        SIGN_IN = "sign_in", pgettext_lazy("turned away", "wrong name or password")

    id = models.BigAutoField(primary_key=True)
    hour = models.DateTimeField(_("hour"))
    reason = models.CharField(_("reason"), max_length=20, choices=Reason)
    address = models.CharField(_("address"), max_length=45, blank=True)
    who = models.CharField(_("key or person"), max_length=150, blank=True)
    where = models.CharField(_("asked for"), max_length=200, blank=True)
    """The last call that was refused, as the table of contents has it: without its ids, and without its query."""
    times = models.PositiveIntegerField(_("times"), default=1)
    first_at = models.DateTimeField(_("first"), db_default=Now())
    last_at = models.DateTimeField(_("last"), db_default=Now())

    class Meta:
        verbose_name = _("refused access")
        verbose_name_plural = _("refused access")
        ordering = ("-last_at",)
        constraints = [
            models.UniqueConstraint(name="refusal_once_an_hour", fields=["hour", "reason", "address", "who"])
        ]
        indexes = [models.Index(name="refusal_last", fields=["last_at"])]

    def __str__(self) -> str:
        return f"{self.get_reason_display()}: {self.who or self.address}"
