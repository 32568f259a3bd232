# Imported with the package, so that a wake-up from any process, not only a worker, goes to our broker.
from opsconsole.celery import app as celery_app

__all__ = ["VERSION", "celery_app"]

VERSION = "0.1.0"
