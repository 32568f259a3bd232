"""Lines of the log, kept for pages, the API and `manage.py logs`."""

import logging
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.actions.models import new_id


class LogLine(models.Model):
    """One line of the log, masked and bounded. Its table is parted by day (apps/jobs/partitions.py).

    It is a copy for reading: the line itself goes to the process's own output, whether the database is there or not.
    """

    class Level(models.IntegerChoices):
        """How grave it is."""

        DEBUG = logging.DEBUG, pgettext_lazy("log", "debug")
        INFO = logging.INFO, pgettext_lazy("log", "info")
        WARNING = logging.WARNING, pgettext_lazy("log", "warning")
        ERROR = logging.ERROR, pgettext_lazy("log", "error")
        CRITICAL = logging.CRITICAL, pgettext_lazy("log", "critical")

    read_permission: ClassVar[tuple[str, str]] = ("read_logs", "Can read log lines")
    """The codename and name of what a reader needs; all shipped groups begin with it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    at = models.DateTimeField(_("at"))
    """By the clock of the process that wrote it: the database may be away, and the line comes to it later."""
    level = models.PositiveSmallIntegerField(_("level"), choices=Level)
    logger = models.CharField(_("logger"), max_length=100)
    text = models.TextField(_("text"))
    trace = models.CharField(_("correlation id"), max_length=32, blank=True, default="")
    """From the request or the event to the call that it led to: the trace id of its `traceparent`."""
    kind = models.CharField(_("kind"), max_length=60, blank=True, default="")
    """Of what it speaks: a model's label, such as `operations.pendingoperation`, and the id of a row."""
    object_id = models.UUIDField(_("id"), null=True)
    job_run = models.UUIDField(_("job run"), null=True)
    service = models.CharField(_("service"), max_length=60, blank=True, default="")
    tenant = models.CharField(_("tenant"), max_length=60, blank=True, default="")
    phones = ArrayField(models.BigIntegerField(), default=list, size=None)
    """Digests of the phones it named (apps/jobs/phones.py): found by, and never read back."""
    pattern = models.BigIntegerField(_("pattern"))
    """What lines alike have in common: a digest of the text without ids, numbers, dates, phones and quoted values."""
    fields = models.JSONField(_("fields"), default=dict)
    traceback = models.TextField(_("traceback"), blank=True, default="")
    process = models.CharField(_("process"), max_length=100)

    class Meta:
        verbose_name = _("log line")
        verbose_name_plural = _("log lines")
        ordering = ("-id",)
        default_permissions = ()
        indexes = [
            # Newest first, of each thing that people look for; an id carries its time.
            models.Index(name="logline_warnings", fields=["id"], condition=Q(level__gte=30)),
            models.Index(name="logline_errors", fields=["id"], condition=Q(level__gte=40)),
            models.Index(name="logline_logger", fields=["logger", "id"]),
            models.Index(name="logline_trace", fields=["trace", "id"], condition=~Q(trace="")),
            models.Index(name="logline_object", fields=["object_id", "id"], condition=Q(object_id__isnull=False)),
            models.Index(name="logline_run", fields=["job_run", "id"], condition=Q(job_run__isnull=False)),
            models.Index(name="logline_service", fields=["service", "id"], condition=~Q(service="")),
            models.Index(name="logline_tenant", fields=["tenant", "id"], condition=~Q(tenant="")),
            # Patterns of a day are counted out of the index alone.
            models.Index(name="logline_pattern", fields=["pattern", "id"], include=["level", "at"]),
            GinIndex(name="logline_phones", fields=["phones"]),
            GinIndex(OpClass(Upper("text"), name="gin_trgm_ops"), name="logline_words"),
        ]

    def __str__(self) -> str:
        return self.text[:80]
