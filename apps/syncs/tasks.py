"""What workers do for syncs beside their jobs. Every task finds its work in rows."""

from celery import shared_task
from django.db.models.functions import Now

from apps.actions.running import step
from apps.actions.tasks import wake
from apps.syncs import rereading
from apps.syncs.models import Sync

TURN_SECONDS = 5.0
"""So long a worker asks for rejected records, then others have their turn."""


@shared_task
def read_again() -> None:
    """Ask for the rejected records that are due. One that finds none costs one look."""
    if rereading.read_again(TURN_SECONDS) and rereading.due().exists():
        wake(read_again)


@shared_task
def sweep() -> None:
    """End the pauses that are over, and find the records that no message speaks of."""
    step(Sync.resume, Sync.objects.filter(paused_until__lte=Now()))
    rereading.rescue_lapsed()
    if rereading.due().exists():
        wake(read_again)
