"""What workers do for action runs. Every task begins by taking rows: a lost or doubled message changes nothing."""

from celery import shared_task

from apps.actions import pacing


@shared_task
def advance() -> None:
    """Take up the runs that wait, each for one turn."""
    if pacing.take_turn() is not None and pacing.waiting().exists():
        advance.delay()


@shared_task
def sweep() -> None:
    """Score the runs that are watched, and take up those that wait."""
    pacing.watch()
    advance()
