"""What workers do for operations. A message names a queue at most; the rows say what is to be done."""

import logging

from celery import shared_task
from django.db import OperationalError

from apps.actions.tasks import stopping, wake
from apps.jobs.models import Queue
from apps.operations import claiming, confirming, delivery, places
from apps.operations.backlog import fold_counts
from apps.operations.rescuing import rescue_lapsed

log = logging.getLogger(__name__)


@shared_task
def drain(slug: str, place: str = "") -> None:
    """Deliver what is due in a queue. An unknown queue, or one that others drain already, costs one look."""
    for queue in Queue.objects.filter(slug=slug):
        held = places.take(queue, int(place) if place else None)
        if held is not None:
            _drain(queue, held)


def _drain(queue: Queue, place: int) -> None:
    more = bool(claiming.free_services(queue))
    if more:
        delivery.drain(queue, place=place, stopping=stopping)
        more = bool(claiming.free_services(queue))
    if more:
        places.keep(place)
        wake(drain, queue.slug, str(place))
    else:
        places.leave(place)


@shared_task
def answer_confirms() -> None:
    """Look up what people asked about."""
    confirming.answer_asked()


@shared_task
def sweep() -> None:
    """Find what no message speaks of: rows of silent workers, and queues with work that is due."""
    for work in (rescue_lapsed, fold_counts):
        try:
            work()
        except OperationalError:  # whatever holds it up, the queues go on
            log.exception("The sweep could not %s; the next one tries again.", work.__name__)
    if confirming.waiting().exists():
        wake(answer_confirms)
    for queue in claiming.queues_with_work():
        for _place in range(places.free(queue)):
            wake(drain, queue.slug)
