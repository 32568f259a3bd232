"""The WSGI application that gunicorn serves."""

import os

from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application

from opsconsole import VERSION, log_lines
from opsconsole.garbage import collect_less

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsconsole.settings")


def serve() -> WSGIHandler:
    """Return the application; its process, each of gunicorn's workers for itself, gives signs of life from now on."""
    handler = get_wsgi_application()
    from apps.jobs.beating import begin  # the models are read by now
    from apps.jobs.models import Process

    begin(Process.Kind.WEB, VERSION)
    log_lines.gather()
    collect_less()
    return handler


application = serve()
