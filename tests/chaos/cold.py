"""Our Celery application, whose workers end at once on SIGQUIT: by our settings they would first wait for their tasks."""

from opsconsole.celery import app

__all__ = ["app"]

app.conf.worker_soft_shutdown_timeout = 0
