"""What processes do now, by the leases that they hold: told by every app whose rows workers claim."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from django.db.models.functions import Now
from django.urls import reverse
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from apps.actions.models import ActionRun
from apps.jobs.catalogue import AT_WORK
from apps.jobs.models import JobRun


@dataclass(frozen=True, slots=True)
class Doing:
    """A piece of work in a worker's hands: the words for it, and the page that shows it."""

    words: str
    url: str = ""


Hands = Mapping[str, list[Doing]]
"""What is in the hands of each holder of leases, by its name."""


def at_work(holders: Collection[str]) -> Hands:
    """Return what each of the holders does now; those that do nothing are left out. A few queries, however many they are."""
    found: dict[str, list[Doing]] = defaultdict(list)
    for told in (_bulk_runs(holders), _job_runs(holders), *(_told_by(path)(holders) for path in AT_WORK)):
        for holder, doing in told.items():
            found[holder] += doing
    return found


def _told_by(path: str) -> Callable[[Collection[str]], Hands]:
    told: Callable[[Collection[str]], Hands] = import_string(path)
    return told


def _bulk_runs(holders: Collection[str]) -> Hands:
    found: dict[str, list[Doing]] = defaultdict(list)
    running = ActionRun.objects.filter(status=ActionRun.Status.RUNNING, worker__in=holders, lease_until__gte=Now())
    for record in running.only("id", "verb", "selection_words", "kind", "worker"):
        found[record.worker].append(Doing(_("bulk run: %s") % record, record.get_absolute_url()))
    return found


def _job_runs(holders: Collection[str]) -> Hands:
    found: dict[str, list[Doing]] = defaultdict(list)
    running = JobRun.objects.filter(status=JobRun.Status.RUNNING, worker__in=holders, lease_until__gte=Now())
    for run in running.select_related("job"):
        found[run.worker].append(Doing(_("job run: %s") % run, reverse("admin:jobs_jobrun_change", args=[run.pk])))
    return found
