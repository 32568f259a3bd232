"""The Celery application: it carries wake-ups, never state (docs/decisions.md)."""

import os
from contextlib import suppress
from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from kombu import Connection

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
