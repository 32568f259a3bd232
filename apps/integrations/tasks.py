"""What workers do for services. Every task finds its work in rows."""

from celery import shared_task
from django.db.models.functions import Now

from apps.actions.running import step
from apps.actions.tasks import wake
from apps.integrations import breakers, keys, limits, probing, refusals
from apps.integrations.models import Endpoint, Service


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
    refusals.forget_old()
    step(Service.resume, Service.objects.filter(paused_until__lte=Now()))
    step(Endpoint.resume, Endpoint.objects.filter(paused_until__lte=Now()))
    if probing.wanted():
        wake(answer_probes)
