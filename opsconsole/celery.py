"""The Celery application: it carries wake-ups, never state (docs/decisions.md)."""

import logging.config
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from celery import Celery, signals
from celery.app.amqp import AMQP
from django.conf import settings
from kombu import Connection
from kombu.exceptions import OperationalError

from opsconsole.garbage import collect_less

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsconsole.settings")


class PromptConnection(Connection):
    """A connection that bears with a broker that is away, however long.

    It is tried again every second. Left to itself kombu waits longer each time, up to half a minute, and so would work
    after the broker is back.
    """

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Connect, and try again until it stands."""
        every_second = {"interval_start": 1, "interval_step": 0, "interval_max": 1}
        return super().ensure_connection(*args, **every_second | kwargs)

    def close(self) -> None:
        """Close it, though the broker is gone and takes back none of the messages that were not begun.

        kombu 5.7 trips over its own half-closed channel then, and the worker would end.
        """
        with suppress(AttributeError):
            super().close()


class Messages(AMQP):
    """Celery's messages, over our connections."""

    Connection = PromptConnection


app = Celery("opsconsole", amqp=Messages)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.worker_process_init.connect
def look_for_less_garbage(**_signal: object) -> None:
    """Let the pool's processes work rather than look."""
    collect_less()


@signals.worker_ready.connect
def worker_lives(sender: Any, **_signal: Any) -> None:
    """Let a worker's parent process give signs of life; its pool's processes hold leases under names of their own."""
    from apps.jobs.beating import Pool, begin  # the models are read by now
    from apps.jobs.models import Process
    from opsconsole import VERSION

    queues = sorted(app.amqp.queues.consume_from)
    kind = Process.Kind.TICKER if queues == ["ticks"] else Process.Kind.WORKER
    begin(kind, VERSION, sender.hostname, queues, lambda: Pool(sender.pool.info["processes"]))


@signals.beat_init.connect
def beat_lives(**_signal: Any) -> None:
    """Let beat give signs of life."""
    from apps.jobs.beating import begin  # the models are read by now
    from apps.jobs.models import Process
    from opsconsole import VERSION

    begin(Process.Kind.BEAT, VERSION)


class BrokerAway(Exception):
    """Workers cannot be asked anything: they are asked over the broker."""


@contextmanager
def reaching() -> Iterator[None]:
    """Raise `BrokerAway` for whatever the broker fails with."""
    try:
        with app.connection_for_write() as connection:
            # Ours would try again for ever, as a worker must; who asks is told at once.
            Connection.ensure_connection(connection, max_retries=1, interval_start=0)
        yield
    except (OperationalError, OSError) as error:
        raise BrokerAway(str(error)) from error


def end_in_order(nodes: Sequence[str]) -> None:
    """Let workers finish what they have begun, and end."""
    with reaching():
        app.control.shutdown(destination=list(nodes))


def pool_sizes(nodes: Sequence[str], patience_seconds: float = 3) -> dict[str, int]:
    """Ask workers how many processes their pools have; who does not answer is left out."""
    with reaching():
        found = app.control.inspect(list(nodes), timeout=patience_seconds).stats() or {}
    return {node: len(told["pool"]["processes"]) for node, told in found.items()}


def resize(node: str, by: int, patience_seconds: float = 3) -> str:
    """Make a worker's pool larger, or smaller where `by` is negative; return why not, or nothing."""
    change = app.control.pool_grow if by > 0 else app.control.pool_shrink
    with reaching():
        answers = change(abs(by), destination=[node], reply=True, timeout=patience_seconds) or []
    told = next(iter(answers), {}).get(node)
    return "no answer" if told is None else str(told.get("error", ""))


@signals.setup_logging.connect
def keep_our_logging(**_signal: object) -> None:
    """Let Celery's lines go where ours go, and leave their levels alone."""
    logging.config.dictConfig(settings.LOGGING)
