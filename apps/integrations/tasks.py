"""What workers do for services. Every task finds its work in rows."""

from celery import shared_task
from django.db.models.functions import Now

from apps.actions.running import step
from apps.integrations import breakers, limits, probing
from apps.integrations.models import Service


@shared_task
def answer_probes() -> None:
    """Make the probes that people and breakers wait for."""
    probing.answer_asked()
    probing.answer_breakers()


@shared_task
def sweep() -> None:
    """Make the probes that are due, end the pauses and waits that are over, and make breakers that are missing."""
    breakers.make_missing()
    limits.free_again()
    step(Service.resume, Service.objects.filter(paused_until__lte=Now()))
    answer_probes()
