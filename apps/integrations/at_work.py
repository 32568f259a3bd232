"""Which events are in the hands of which worker."""

from collections.abc import Collection

from django.db.models import Count
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import ngettext

from apps.integrations.models import IntegrationEvent
from apps.jobs.working import Doing


def at_work(holders: Collection[str]) -> dict[str, list[Doing]]:
    """Return how many events each worker is processing."""
    held = IntegrationEvent.objects.filter(
        status=IntegrationEvent.Status.PROCESSING, worker__in=holders, lease_until__gte=Now()
    )
    url = f"{reverse('admin:integrations_integrationevent_changelist')}?status=processing"
    counted = held.order_by().values_list("worker").annotate(Count("pk"))
    return {worker: [Doing(_words(count), url)] for worker, count in counted}


def _words(count: int) -> str:
    return ngettext("processes %(count)s event", "processes %(count)s events", count) % {"count": count}
