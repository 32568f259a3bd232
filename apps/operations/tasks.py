"""What workers do for operations. A message names a queue at most; the rows say what is to be done."""

from celery import shared_task

from apps.jobs.models import Queue
from apps.operations import confirming, delivery


@shared_task
def drain(slug: str) -> None:
    """Deliver what is due in a queue. An unknown queue, or one that others drained already, costs one look."""
    for queue in Queue.objects.filter(slug=slug):
        delivery.drain(queue)
        if delivery.free_services(queue):
            drain.delay(slug)


@shared_task
def answer_confirms() -> None:
    """Look up what people asked about."""
    confirming.answer_asked()


@shared_task
def sweep() -> None:
    """Find what no message speaks of: rows of silent workers, and queues with work that is due."""
    delivery.rescue_lapsed()
    delivery.fold_tallies()
    answer_confirms()
    for queue in delivery.queues_with_work():
        drain.delay(queue.slug)
