"""Companies whose data is carried."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.actions.models import new_id
from apps.actions.verbs import Verb
from apps.jobs.models.pausing import Pausable, pausing, resuming


class Tenant(Pausable):
    """A company whose data is carried; its work can be held apart from everybody else's."""

    class Status(models.TextChoices):
        """Whether the tenant's work is carried."""

        ACTIVE = "active", pgettext_lazy("tenant", "active")
        """Its work is carried."""
        PAUSED = "paused", pgettext_lazy("tenant", "paused")
        """Its work is kept and passed by."""

    policy = True
    filters = {"status": "status", "slug": "slug"}
    searches = ("slug__icontains", "name__icontains")
    wakes = "apps.jobs.tasks.work_off"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    slug = models.SlugField(_("short name"), max_length=60, unique=True)
    name = models.CharField(_("name"), max_length=200)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.ACTIVE, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), editable=False)

    sync = Verb(
        _("Sync now"),
        sources=[Status.ACTIVE],
        unless=[
            (
                "apps.jobs.scheduling.unread",
                _(
                    "without an active sync of an active job, so nothing would be read; make one under Syncs, or resume the "
                    "sync or its job"
                ),
            )
        ],
        then="apps.jobs.scheduling.synced",
        help=_("Read its data now, off schedule: a run of each job that reads for tenants (runbook 3, section 6)."),
    )
    pause = pausing(_("Hold this tenant's work: it is still taken in and waits."))
    resume = resuming(_("Carry this tenant's work again."))

    class Meta:
        verbose_name = _("tenant")
        verbose_name_plural = _("tenants")
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.slug
