"""What an event becomes: endpoints, and the versions of their mappings."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.actions.models import new_id
from apps.integrations.mapping import LONGEST, WrongExpression, check_expression
from apps.integrations.models.service import Service
from apps.jobs.models import Pausable, Queue, Tenant, pausing, resuming

PATTERN = RegexValidator(
    r"\A(?:[\w.:/-]+\*?|\*)\Z", _("Give a type such as lead.created, or a beginning and a star: lead.*")
)


def readable(expression: str) -> None:
    """Validate an expression of the mapping language."""
    try:
        check_expression(expression)
    except WrongExpression as error:
        raise ValidationError(_("The expression %(why)s.") % {"why": error}) from error


class Endpoint(Pausable):
    """Which events become which operation on which service. How the fields are filled says its newest mapping version."""

    class Status(models.TextChoices):
        """Whether its events become operations."""

        ACTIVE = "active", pgettext_lazy("endpoint", "active")
        """Its events become operations."""
        PAUSED = "paused", pgettext_lazy("endpoint", "paused")
        """Its events are kept and become nothing."""

    filters = {
        "status": "status",
        "slug": "slug",
        "source": "source",
        "type": "event_type",
        "service": "service__slug",
        "operation": "operation_type",
    }
    searches = ("slug__icontains", "name__icontains", "event_type__icontains")
    policy = True

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    slug = models.SlugField(_("name"), max_length=60, unique=True)
    """It stays: its versions and the files of an export are named by it."""
    name = models.CharField(_("what it is"), max_length=120)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.ACTIVE, editable=False)
    source = models.SlugField(
        _("source"), max_length=60, blank=True, default="", help_text=_("Left empty: events from every source.")
    )
    event_type = models.CharField(
        _("event type"),
        max_length=200,
        validators=[PATTERN],
        help_text=_("One type, such as lead.created; or a beginning and a star, such as lead.*"),
    )
    condition = models.TextField(
        _("only where"),
        max_length=LONGEST,
        blank=True,
        default="",
        validators=[readable],
        help_text=_("An expression that must hold, such as data.value > `0`. Left empty: every such event."),
    )
    service = models.ForeignKey(Service, models.PROTECT, related_name="+", verbose_name=_("service"))
    operation_type = models.CharField(_("operation"), max_length=60)
    queue = models.ForeignKey(
        Queue,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("queue"),
        help_text=_("Left empty: the queue that bears the service's name."),
    )
    tenant = models.ForeignKey(
        Tenant, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("tenant, always the same")
    )
    tenant_expression = models.TextField(
        _("tenant, out of the event"),
        max_length=LONGEST,
        blank=True,
        default="",
        validators=[readable],
        help_text=_("An expression that gives a tenant's short name, such as data.company."),
    )
    entity_id_expression = models.TextField(
        _("id of the entity"),
        max_length=LONGEST,
        blank=True,
        default="",
        validators=[readable],
        help_text=_("An expression that gives the id by which people find it, such as data.lead.id or subject."),
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    pause = pausing(_("Make nothing of its events. They are kept, and can be replayed once it is resumed."))
    resume = resuming(_("Make operations of its events again."))

    class Meta:
        verbose_name = _("endpoint")
        verbose_name_plural = _("endpoints")
        ordering = ("slug",)
        indexes = [models.Index(name="endpoint_event_type", fields=["event_type"])]
        constraints = [
            models.CheckConstraint(
                name="endpoint_one_tenant",
                condition=Q(tenant__isnull=True) | Q(tenant_expression=""),
                violation_error_message=_("Give the tenant either always the same or out of the event, not both."),
            )
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def mapping(self) -> "MappingVersion | None":
        """The version in force: the newest."""
        return self.versions.order_by("-number").first()

    def mapped_by(self, fields: dict[str, Any], made_by: str, note: str = "") -> "MappingVersion":
        """Put a mapping in force and return its version: a new one, or the newest where that says the same already."""
        with transaction.atomic():
            Endpoint.objects.select_for_update().get(pk=self.pk)  # two that save at once get two numbers
            newest = self.mapping
            if newest is not None and newest.fields == fields:
                return newest
            number = (newest.number if newest else 0) + 1
            name = f"{self.slug}@{number}"
            return self.versions.create(name=name, number=number, fields=fields, made_by=made_by, note=note)


class MappingVersion(models.Model):
    """How an endpoint's events fill a payload. It never changes: an edit makes the next version."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    endpoint = models.ForeignKey(Endpoint, models.PROTECT, related_name="versions", verbose_name=_("endpoint"))
    number = models.PositiveIntegerField(_("version"))
    name = models.CharField(_("name"), max_length=80, unique=True)
    """The endpoint's name and the number, as lists and filters say it: `leads-to-crm@3`."""
    fields = models.JSONField(_("fields"))
    """As `apps/integrations/mapping.py` reads it: target -> expression or constant."""
    made_by = models.CharField(_("made by"), max_length=150)
    made_at = models.DateTimeField(_("made at"), db_default=Now())
    note = models.TextField(_("note"), blank=True, default="")

    class Meta:
        verbose_name = _("mapping version")
        verbose_name_plural = _("mapping versions")
        ordering = ("endpoint", "-number")
        constraints = [models.UniqueConstraint(name="mapping_version_number", fields=["endpoint", "number"])]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save a new version; one that is there already stays as it is."""
        if not self._state.adding:
            raise TypeError("A mapping version never changes: make the next one.")
        super().save(*args, **kwargs)
