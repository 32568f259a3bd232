"""Is what this app reaches by name really there? Run by `manage.py check` and at every start."""

from typing import Any

from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string

from apps.integrations import catalogue

NAMED = ("ROUTED_TO", "ROUTED_WAKES", "MADE_OF")


def check_catalogue(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return what the catalogue names and nobody can import."""
    paths = {name: getattr(catalogue, name) for name in NAMED}
    return [
        Error(f"{name} names {path!r}, which cannot be imported.", id="integrations.E001")
        for name, path in paths.items()
        if not _imports(path)
    ]


def _imports(path: str) -> bool:
    try:
        return callable(import_string(path))
    except ImportError:
        return False
