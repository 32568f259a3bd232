"""What a visitor of the tour sees and presses, and what the workers do meanwhile."""

from random import Random
from typing import Any

from django.test import Client

from apps.actions import pacing
from apps.actions.models import ActionRun
from apps.jobs.models import Queue
from apps.operations import delivery
from opsconsole.demo import traffic, wares


def guide(client: Client) -> Any:
    """What the tour tells now, or None."""
    return client.get("/admin/?part=guide").context["home"]["guide"]


def press(client: Client, what: str) -> None:
    """Press a button of the tour."""
    assert client.post(f"/demo/{what}/").status_code == 302


def work() -> None:
    """Hand in deals, as the traffic does, and carry what is due."""
    for _number in range(6):
        traffic.hand_in(wares.deal(Random(1)), "piperun", "crm")  # noqa: S311 # a play
    deliver()


def deliver() -> None:
    delivery.drain(Queue.objects.get(slug="crm"), 20)


def retry_to_the_end() -> ActionRun:
    """Do what the workers do for a paced run."""
    for _turn in range(20):
        pacing.take_turn()
        deliver()
        pacing.watch()
        run = ActionRun.objects.get(paced=True)
        if run.status in (ActionRun.Status.STOPPED, ActionRun.Status.FINISHED):
            return run
    raise AssertionError("the run does not end")
