"""Our Celery application with one connector more, whose operations kill the process that carries them."""

import os
import signal
from dataclasses import replace

from apps.integrations.connectors import CONNECTORS
from apps.integrations.connectors.http import HTTP, post
from apps.integrations.connectors.shape import Order, Steps
from opsconsole.celery import app

__all__ = ["app"]


def post_or_die(order: Order) -> Steps:
    """Post, unless the payload says how to die."""
    match order.payload.get("dies"):
        case "exit":
            os._exit(1)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
    return post(order)


CONNECTORS["deadly"] = replace(
    HTTP, operations={"http.post": replace(HTTP.operations["http.post"], perform=post_or_die)}
)
