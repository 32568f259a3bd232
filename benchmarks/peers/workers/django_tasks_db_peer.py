"""django-tasks-db: one task an operation, in PostgreSQL."""

import os
from typing import Any

import django
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_peer.settings")
django.setup()


def enqueue(operations: range, payload: dict[str, Any]) -> None:
    """Enqueue a task for each operation."""
    from django_peer.tasks import deliver

    call_command("migrate", verbosity=0)
    for operation in operations:
        deliver.enqueue(operation, payload)
