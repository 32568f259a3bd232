"""An outside system, and the breaker that stops calls to it while it fails."""

import datetime as dt
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from apps.actions.models import new_id
from apps.actions.verbs import Acted, Given, Step, Verb
from apps.jobs.models import Pausable, pausing, resuming


class Service(Pausable):
    """An outside system: where it is, which connector speaks to it, how fast and how patiently.

    Its secrets stand in the environment or in secret files, never here: `credentials` only names them.
    """

    class Status(models.TextChoices):
        """Whether calls go out to it."""

        ACTIVE = "active", pgettext_lazy("service", "active")
        """Calls go out as the breaker and the limit allow."""
        PAUSED = "paused", pgettext_lazy("service", "paused (maintenance)")
        """No call goes out; work for it is kept and waits."""

    policy = True
    filters = {"status": "status", "slug": "slug", "connector": "connector"}
    searches = ("slug__icontains", "name__icontains")
    wakes = "apps.integrations.tasks.answer_probes"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    slug = models.SlugField(_("name"), max_length=60, unique=True)
    name = models.CharField(_("what it is"), max_length=120)
    aliases = models.JSONField(
        _("other names"),
        default=list,
        blank=True,
        help_text=_('What other systems call it: ["crm"]. Calls and commands take these names, too.'),
    )
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.ACTIVE, editable=False)
    connector = models.CharField(_("connector"), max_length=30)
    base_url = models.URLField(_("base URL"), max_length=500)
    credentials = models.JSONField(
        _("credentials"),
        default=dict,
        blank=True,
        help_text=_('Which environment name or secret file holds which secret: {"token": "PIPERUN_API_TOKEN"}.'),
    )
    options = models.JSONField(_("options of the connector"), default=dict, blank=True)
    allowed_networks = models.JSONField(
        _("allowed private networks"),
        default=list,
        blank=True,
        help_text=_("Private addresses are refused unless a network here contains them, such as 10.1.0.0/16."),
    )
    connect_seconds = models.FloatField(_("connect within (seconds)"), default=3, validators=[MinValueValidator(0.1)])
    deadline_seconds = models.FloatField(
        _("answer within (seconds)"), default=15, validators=[MinValueValidator(0.5), MaxValueValidator(15)]
    )
    """In all, and below the time a drain is given to end: a stop never cuts a call off."""
    max_in_flight = models.PositiveIntegerField(_("calls at once"), default=50, validators=[MinValueValidator(1)])
    rate_per_second = models.FloatField(
        _("calls per second"), default=50, validators=[MinValueValidator(0.01)], help_text=_("Across all workers.")
    )
    burst = models.PositiveIntegerField(_("burst"), default=50, validators=[MinValueValidator(1)])
    max_retries = models.PositiveSmallIntegerField(_("attempts before it is given up"), default=10)
    backoff_base_seconds = models.FloatField(_("first retry within (seconds)"), default=2)
    backoff_cap_seconds = models.FloatField(_("retries at most apart (seconds)"), default=300)

    # What the limit knows, moved by one UPDATE per claim
    tokens = models.FloatField(default=0, editable=False)
    tokens_at = models.DateTimeField(null=True, editable=False)
    waits_until = models.DateTimeField(_("waits until"), null=True, blank=True, editable=False)
    """Set by Retry-After: the whole service waits, and no attempt is used."""
    waits_because = models.TextField(_("waits because"), blank=True, default="", editable=False)

    # The last probe: one harmless call
    probe_asked_at = models.DateTimeField(null=True, editable=False)
    probed_at = models.DateTimeField(_("probed at"), null=True, editable=False)
    probe_ok = models.BooleanField(_("answered"), null=True, editable=False)
    probe_message = models.TextField(_("answer"), blank=True, default="", editable=False)
    probe_ms = models.PositiveIntegerField(_("milliseconds"), null=True, editable=False)

    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    pause = pausing(_("Send it nothing, for maintenance. Work for it is kept and waits; no attempt is used."))
    resume = resuming(_("Send to it again."))
    probe = Verb(
        _("Probe"),
        sets={"probe_asked_at": Now()},
        help=_("One harmless call: is it reachable, is our token valid? The answer stays on the page."),
    )

    class Meta:
        verbose_name = _("service")
        verbose_name_plural = _("services")
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.slug

    @property
    def probe_said(self) -> str:
        """What came of the last probe; where all is well, in the reader's language and not the worker's."""
        return self.probe_message or (gettext("It answered, and it took our credential.") if self.probe_ok else "")

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the service; a new one gets its breaker, closed."""
        super().save(*args, **kwargs)
        CircuitBreaker.objects.get_or_create(service=self)


class CircuitBreaker(Acted):
    """Stops calls to a service that fails, and lets one probe decide when they go on (S1-48 to S1-55)."""

    class Status(models.TextChoices):
        """Whether calls pass."""

        CLOSED = "closed", pgettext_lazy("circuit breaker", "closed")
        """Calls pass."""
        OPEN = "open", pgettext_lazy("circuit breaker", "open")
        """Calls are held back; rows wait and use no attempt."""
        HALF_OPEN = "half_open", pgettext_lazy("circuit breaker", "half open")
        """One probe is on its way, and decides."""

    policy = True
    filters = {"status": "status", "service": "service__slug"}
    searches = ("service__slug__icontains",)
    wakes = "apps.integrations.tasks.answer_probes"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    service = models.OneToOneField(Service, models.CASCADE, related_name="breaker", verbose_name=_("service"))
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.CLOSED, editable=False)
    failure_threshold = models.PositiveSmallIntegerField(_("opens after failures"), default=5)
    window_seconds = models.PositiveIntegerField(_("within (seconds)"), default=300)
    timeout_seconds = models.PositiveIntegerField(_("first probe after (seconds)"), default=60)
    timeout_cap_seconds = models.PositiveIntegerField(_("probes at most apart (seconds)"), default=600)
    failures = models.PositiveIntegerField(_("failures in the window"), default=0, editable=False)
    window_started_at = models.DateTimeField(null=True, editable=False)
    opened_at = models.DateTimeField(_("open since"), null=True, editable=False)
    reason = models.TextField(_("because"), blank=True, default="", editable=False)
    forced = models.BooleanField(_("forced open"), default=False, editable=False)
    """A person opened it: no answered probe closes it before they say so, or before the moment they gave."""
    wait_seconds = models.PositiveIntegerField(_("waits between probes (seconds)"), default=0, editable=False)
    probe_due_at = models.DateTimeField(_("next probe"), null=True, editable=False)
    probe_token = models.BigIntegerField(null=True, editable=False)
    """Held by the one probe under way; a probe that never comes back loses it with its lease."""
    probe_lease_until = models.DateTimeField(null=True, editable=False)
    closed_at = models.DateTimeField(_("closed since"), null=True, editable=False)
    """After closing the pace climbs from a tenth to the whole in a minute."""
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    reset = Verb(
        _("Reset"),
        sources=[Status.OPEN, Status.HALF_OPEN],
        target=Status.HALF_OPEN,
        sets={"forced": False, "probe_due_at": Now(), "probe_token": None, "probe_lease_until": None},
        asks=["note"],
        help=_("Send one probe now and let it decide: an answer closes the breaker, a failure opens it again."),
    )
    force_open = Verb(
        _("Force open"),
        sources=[Status.CLOSED, Status.HALF_OPEN],
        target=Status.OPEN,
        sets={
            "opened_at": Now(),
            "reason": Given("reason"),
            "forced": True,
            "probe_due_at": Given("until"),
            "probe_token": None,
            "probe_lease_until": None,
        },
        asks=["reason", "until"],
        danger=True,
        help=_("Stop all calls to the service. Without a moment it stays open until somebody resets it."),
    )
    trip = Step(
        _("Trip"),
        sources=[Status.CLOSED, Status.HALF_OPEN],
        target=Status.OPEN,
        sets={
            "opened_at": Coalesce(F("opened_at"), Now()),
            "reason": Given("reason"),
            "failures": 0,
            "wait_seconds": Given("wait_seconds"),
            "probe_due_at": Now() + Given("wait", models.DurationField()),
            "probe_token": None,
            "probe_lease_until": None,
        },
    )
    """Failures, a refused credential or a spent quota. Soon after it closed, or in a failed probe, it waits twice as long."""
    half_open = Step(pgettext_lazy("step", "Probe"), sources=[Status.OPEN], target=Status.HALF_OPEN)
    """The wait is over: one probe goes out."""
    close = Step(
        _("Close"),
        sources=[Status.HALF_OPEN, Status.OPEN],
        target=Status.CLOSED,
        sets={
            "closed_at": Now(),
            "reason": "",
            "failures": 0,
            "forced": False,
            "opened_at": None,
            "probe_due_at": None,
            "probe_token": None,
            "probe_lease_until": None,
        },
    )
    """The probe was answered."""

    class Meta:
        verbose_name = _("circuit breaker")
        verbose_name_plural = _("circuit breakers")
        ordering = ("service__slug",)
        constraints = [
            models.CheckConstraint(name="breaker_waits", condition=Q(timeout_seconds__lte=F("timeout_cap_seconds")))
        ]

    def __str__(self) -> str:
        return f"{self.service.slug}"


RAMP = dt.timedelta(seconds=60)
"""How long the pace takes to climb back after a breaker closed."""
