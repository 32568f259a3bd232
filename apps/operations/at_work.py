"""Which operations are in the hands of which worker."""

from collections import defaultdict
from collections.abc import Collection
from urllib.parse import urlencode

from django.db.models import Count
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import ngettext

from apps.jobs.working import Doing
from apps.operations.models import PendingOperation


def at_work(holders: Collection[str]) -> dict[str, list[Doing]]:
    """Return the drains of each worker: whose queue, and how many operations it holds of it."""
    held = PendingOperation.objects.filter(
        status=PendingOperation.Status.PROCESSING, worker__in=holders, lease_until__gte=Now()
    )
    found: dict[str, list[Doing]] = defaultdict(list)
    counted = held.order_by("queue__slug").values_list("worker", "queue__slug").annotate(Count("pk"))
    for worker, queue, count in counted:
        words = ngettext("drains %(queue)s: %(count)s operation", "drains %(queue)s: %(count)s operations", count) % {
            "queue": queue,
            "count": count,
        }
        found[worker].append(Doing(words, _list(queue)))
    return found


def _list(queue: str) -> str:
    words = {"status": PendingOperation.Status.PROCESSING.value, "queue": queue}
    return f"{reverse('admin:operations_pendingoperation_changelist')}?{urlencode(words)}"
