"""Secrets that we show to services. They stand in files or in the environment, are read at use, and never in a row."""

import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _


@dataclass(frozen=True)
class Credential:
    """A secret and where it stands. One that stands in a file is read anew after a rotation; the environment's is not."""

    name: str
    value: str = field(repr=False)
    path: Path | None = None

    @property
    def needs_restart(self) -> bool:
        """Whether the processes must be restarted before they take a new value."""
        return self.path is None and bool(self.value)


def credential(name: str) -> Credential:
    """Return the secret known by a name, from its file where there is one, else from the environment; empty if unset."""
    path = file_of(name)
    try:
        return Credential(name, _read(path, path.stat().st_mtime_ns), path)
    except OSError:
        return Credential(name, os.environ.get(name, "").strip())


def file_of(name: str) -> Path:
    """Return the file that a secret stands in, or would: `<NAME>_FILE` where that is set, else in the data folder."""
    named = os.environ.get(f"{name}_FILE")
    return Path(named) if named else settings.DATA_DIR / "credentials" / name


@lru_cache(maxsize=64)
def _read(path: Path, changed_at: int) -> str:
    """Read a secret file once per change of it."""
    return path.read_text().strip()


def source_of(secret: Credential) -> str:
    """Say where a secret stands and what its rotation needs. Never the secret itself."""
    if not secret.value:
        return _("is set nowhere")
    if secret.needs_restart:
        return _("stands in the environment: a new one needs a restart")
    return _("stands in a secret file: a new one is read by itself")
