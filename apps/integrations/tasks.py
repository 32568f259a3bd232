"""What workers do for services. Every task finds its work in rows."""

from celery import shared_task
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from apps.actions.running import step
from apps.actions.tasks import wake
from apps.integrations import breakers, catalogue, keys, limits, probing, processing
from apps.integrations.models import Endpoint, EventSource, IntegrationEvent, Service

TURN_SECONDS = 5.0
"""So long a worker processes events, then others have their turn."""
AT_ONCE = 4
"""So many turns the sweep asks for where events wait."""


@shared_task
def process_events() -> None:
    """Make of the events that are due what they are to become. One that finds none costs one look."""
    score = processing.process(TURN_SECONDS)
    if score[IntegrationEvent.Outcome.OPERATIONS]:
        wake(import_string(catalogue.ROUTED_WAKES))
    if score and processing.due().exists():
        wake(process_events)


@shared_task
def answer_probes() -> None:
    """Make the probes that people and breakers wait for."""
    probing.answer_asked()
    probing.answer_breakers()


@shared_task
def sweep() -> None:
    """End the pauses, waits and keys that are over, make breakers that are missing, and ask for the probes that are due."""
    breakers.make_missing()
    limits.free_again()
    keys.close_lapsed()
    for model in (Service, EventSource, Endpoint):
        step(model.resume, model.objects.filter(paused_until__lte=Now()))
    processing.rescue_lapsed()
    waiting = processing.due()[: processing.BATCH * AT_ONCE].count()
    for _turn in range(-(-waiting // processing.BATCH)):
        wake(process_events)
    if probing.wanted():
        wake(answer_probes)
