"""Reports: what a job of maintenance found, kept as it was told then."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.actions.models import new_id


class Report(models.Model):
    """A report as a row, so that every web process shows it and the next one can say what changed since."""

    class Kind(models.TextChoices):
        """What it is about."""

        PERFORMANCE = "performance", _("performance of the week")
        """Success, waiting times, slowest statements, growth (S4-79)."""
        THRESHOLDS = "thresholds", _("review of thresholds")
        """Failures by kind beside the limits that speak of them (S4-85)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind)
    run = models.ForeignKey("jobs.JobRun", models.SET_NULL, null=True, related_name="reports", verbose_name=_("run"))
    told = models.JSONField(_("what it tells"))
    made_at = models.DateTimeField(_("made at"), db_default=Now())

    class Meta:
        verbose_name = _("report")
        verbose_name_plural = _("reports")
        ordering = ("-id",)
        indexes = [models.Index(name="report_newest", fields=["kind", "-id"])]

    def __str__(self) -> str:
        return str(self.get_kind_display())
